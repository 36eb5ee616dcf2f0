package rpm

// Exit codes (docs/operations.md).
const (
	contentCode = 4
	trustCode   = 5
)

// A trustError is a sentinel of what is wrong with the signatures of a package.
type trustError string

func (e trustError) Error() string { return string(e) }

// ExitCode says that the package cannot be trusted.
func (e trustError) ExitCode() int { return trustCode }

// ExitCode says that the content is not what it should be.
func (e *FormatError) ExitCode() int { return contentCode }

// ExitCode says that the content is not what it should be.
func (e *DigestError) ExitCode() int { return contentCode }

// ExitCode says that the package cannot be trusted.
func (e *UnknownSignerError) ExitCode() int { return trustCode }

// ExitCode says that the package cannot be trusted.
func (e *BadSignatureError) ExitCode() int { return trustCode }

// ExitCode says that the package cannot be trusted.
func (e *WeakSignatureError) ExitCode() int { return trustCode }

// ExitCode says that the package cannot be trusted.
func (e *UnknownTagError) ExitCode() int { return trustCode }
