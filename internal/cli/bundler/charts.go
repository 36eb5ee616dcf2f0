package bundler

import (
	"log/slog"

	"airbundle/internal/source/chart"
	"airbundle/internal/source/image"
	"airbundle/internal/source/web"
)

// chartSource opens charts by the adapters that open images and files, so that they
// share logins and connections.
func chartSource(images *image.Source, files *web.Source, log *slog.Logger) *chart.Source {
	return chart.New(chart.Options{Files: files, Registry: images, Log: log})
}
