package helm

// Images are the images that a chart names.
type Images struct {
	Refs []ImageRef // sorted, none twice
	// Findings say what could not be looked at, and why: a chart that does not render may
	// name more images.
	Findings []string
}

// An ImageRef is one image, as registry/repository:tag or with a digest, completed as
// docker does it.
type ImageRef struct {
	Reference string
	Found     []string // files of the chart and places in them, sorted
}
