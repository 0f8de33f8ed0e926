// Package page is the page of crashlab live: HTML, its style and its script, which ask nothing of the network but the server
// that they come from.
package page

import (
	"bytes"
	"embed"
	"net/http"
	"path"
	"time"

	"example.com/crashlab/client/look"
)

//go:embed assets
var assets embed.FS

// scripts are the page's own, in the order in which they are run.
var scripts = []string{
	"store.js", "stage.js", "tips.js", "connection.js", "figures.js", "history.js", "way.js", "fields.js", "controls.js", "page.js",
}

// policy is the content-security policy: nothing inline, and nothing from elsewhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves the page at / and its files beside it. None of them is secret: the page has no data but what it asks for.
func Handler() http.Handler {
	files := map[string][]byte{
		"/":         []byte(asset("index.html")),
		"/theme.js": []byte(asset("theme.js")),
		"/live.js":  []byte(script()),
		"/live.css": []byte(look.Style() + asset("live.css")),
		"/plot.js":  []byte(look.PlotScript()),
		"/plot.css": []byte(look.PlotStyle()),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		name := path.Base(r.URL.Path)
		if r.URL.Path == "/" {
			name = "index.html"
		}
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
	})
}

func script() string {
	var own []string
	for _, name := range scripts {
		own = append(own, asset(name))
	}
	return look.Script(own...)
}

func asset(name string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(text)
}
