package seeder

import (
	"github.com/spf13/cobra"

	"airbundle/internal/nexus"
	"airbundle/internal/target"
	"airbundle/manifest"
	"airbundle/targets"
)

// complete lets the shell offer the values of flags that take one of a few. A target map may
// be a file, too, which the shell offers where no name fits.
func complete(cmd *cobra.Command) {
	for flag, values := range map[string][]string{
		"docker-via": {string(nexus.ViaAuto), string(nexus.ViaMain), string(nexus.ViaConnector)},
		"rpm-layout": {target.LayoutYum, target.LayoutRaw},
		"arch":       manifest.Arches(),
		"output":     {"text", "json"},
		"target":     targets.Names(),
	} {
		if cmd.Flags().Lookup(flag) == nil {
			continue
		}
		files := cobra.ShellCompDirectiveNoFileComp
		if flag == "target" {
			files = cobra.ShellCompDirectiveDefault
		}
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, files)) // the flag is there, and registered once
	}
}
