package webui

import (
	"embed"

	"github.com/loopkey/loopkey/internal/layout"
)

//go:embed templates/*.html
var templateFiles embed.FS

// The pages of this package, each by its template.
var (
	homeTemplate      = layout.Template{Files: &templateFiles, File: "templates/home.html"}
	protectedTemplate = layout.Template{Files: &templateFiles, File: "templates/protected.html"}
	profileTemplate   = layout.Template{Files: &templateFiles, File: "templates/profile.html"}
	checksTemplate    = layout.Template{Files: &templateFiles, File: "templates/checks.html"}
	logoutTemplate    = layout.Template{Files: &templateFiles, File: "templates/logout.html"}
	endedTemplate     = layout.Template{Files: &templateFiles, File: "templates/ended.html"}
	downTemplate      = layout.Template{Files: &templateFiles, File: "templates/down.html"}
)
