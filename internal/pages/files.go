package pages

import (
	"net/http"
	"path"
	"strings"
)

// filePolicy confines a file that a browser may show by itself. The file has loopkey's origin, so it runs no script and
// sends no form: with them it could act as loopkey's own pages, and read what an app behind the guard keeps in the
// browser. An origin of its own (a sandbox without allow-same-origin) would let it run scripts, but browsers then send
// no cookie with what it loads, so its style sheets and pictures would be refused. A page that needs scripts is an app,
// which --upstream is for.
const filePolicy = "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox allow-downloads; " +
	"default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; " +
	"media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// confine sets the headers for a file of the folder that is not drawn by loopkey, beside those of localhost.OwnHost.
func confine(h http.Header, contentType string) {
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "private, no-cache") // kept, but the guard is asked each time
	h.Set("Vary", "Cookie")
	if contentType == "application/pdf" { // browsers show it in an origin of its own, and not at all in a sandbox
		h.Set("Content-Security-Policy", "frame-ancestors 'none'")
		return
	}
	h.Set("Content-Security-Policy", filePolicy)
}

// contentType returns the type of a file by its extension, or "" for an extension that is not served. The system's own
// table is not asked: on Windows any program may have changed what .js is.
func contentType(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".avif":
		return "image/avif"
	case ".css":
		return "text/css; charset=utf-8"
	case ".csv":
		return "text/csv; charset=utf-8"
	case ".gif":
		return "image/gif"
	case ".htm", ".html":
		return "text/html; charset=utf-8"
	case ".ico":
		return "image/x-icon"
	case ".jpeg", ".jpg":
		return "image/jpeg"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".json":
		return "application/json"
	case ".log", ".toml", ".txt", ".yaml", ".yml":
		return "text/plain; charset=utf-8"
	case ".mp3":
		return "audio/mpeg"
	case ".mp4":
		return "video/mp4"
	case ".ogg":
		return "audio/ogg"
	case ".otf":
		return "font/otf"
	case ".pdf":
		return "application/pdf"
	case ".png":
		return "image/png"
	case ".svg":
		return "image/svg+xml"
	case ".ttf":
		return "font/ttf"
	case ".wasm":
		return "application/wasm"
	case ".wav":
		return "audio/wav"
	case ".webm":
		return "video/webm"
	case ".webp":
		return "image/webp"
	case ".woff":
		return "font/woff"
	case ".woff2":
		return "font/woff2"
	case ".xml":
		return "application/xml"
	}
	return ""
}
