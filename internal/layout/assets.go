package layout

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// AssetsPath is where ServeAsset belongs. It lies under /auth/, which is ours
// anyway: an app behind the guard often has an /assets/ of its own.
const AssetsPath = "/auth/assets/"

//go:embed assets
var assetFiles embed.FS

// An asset is a file that pages load, under a name that changes with its content.
type asset struct {
	url, contentType, hash string
	plain, gzipped         []byte
}

// assets holds every asset by its own name and by its hashed one. They are compressed once, when the first is asked
// for.
var assets = sync.OnceValues(func() (map[string]*asset, error) {
	files, err := assetFiles.ReadDir("assets")
	if err != nil {
		return nil, err
	}
	byName := map[string]*asset{}
	for _, file := range files {
		name := file.Name()
		plain, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			return nil, err
		}
		var gzipped bytes.Buffer
		z, err := gzip.NewWriterLevel(&gzipped, gzip.BestCompression)
		if err != nil {
			return nil, err
		}
		if _, err := z.Write(plain); err != nil {
			return nil, err
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		sum := sha256.Sum256(plain)
		ext := path.Ext(name)
		a := &asset{
			contentType: contentType(name), hash: hex.EncodeToString(sum[:8]), plain: plain, gzipped: gzipped.Bytes(),
		}
		hashed := strings.TrimSuffix(name, ext) + "-" + a.hash + ext
		a.url = AssetsPath + hashed
		byName[name], byName[hashed] = a, a
	}
	return byName, nil
})

// assetURL returns the URL of an asset by its own name.
func assetURL(name string) (string, error) {
	all, err := assets()
	if err != nil {
		return "", err
	}
	a, ok := all[name]
	if !ok {
		return "", fmt.Errorf("no asset %q", name)
	}
	return a.url, nil
}

// ServeAsset serves GET /auth/assets/{name}. A name holds the hash of its content, so what is under it never changes
// and browsers may keep it for ever.
func ServeAsset(w http.ResponseWriter, r *http.Request) {
	all, err := assets()
	a := all[strings.TrimPrefix(r.URL.Path, AssetsPath)]
	if err != nil || a == nil || r.URL.Path != a.url {
		FailJSON(w, http.StatusNotFound, Problem{})
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	// For the icon, opened by itself.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	content, tag := a.plain, a.hash
	if acceptsGzip(r) {
		content, tag = a.gzipped, a.hash+"-gz"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// contentType returns the type of an asset by its name.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}

// acceptsGzip reports whether the response to r may be compressed (RFC 9110, section 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for _, coding := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(coding), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight = strings.TrimRight(strings.ReplaceAll(weight, " ", ""), "0")
			return weight != "q=" && weight != "q=0."
		}
	}
	return false
}
