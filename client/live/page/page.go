// Package page has the files of the page of crashlab live: HTML, style and scripts. The page needs
// no network beyond the server that serves it, which is package web.
package page

import (
	"embed"
	"net/http"
	"strings"
	"time"

	"example.com/crashlab/client/look"
)

//go:embed assets
var assets embed.FS

// scripts are the page's scripts, in the order in which they run.
var scripts = []string{
	"store.js", "stage.js", "tips.js", "connection.js", "figures.js", "history.js", "way.js", "fields.js", "controls.js", "page.js",
}

// Handler returns a handler that serves the page at / and its files beside it. The files have no
// secrets: the page requests all data with its token. It works under a content-security policy that
// allows only scripts and styles from the same server, and nothing inline.
func Handler() http.Handler {
	const html, style, script = "text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8"
	files := map[string]file{
		"/":         {html, asset("index.html")},
		"/theme.js": {script, asset("theme.js")},
		"/live.js":  {script, ownScript()},
		"/live.css": {style, look.Style() + asset("live.css")},
		"/plot.js":  {script, look.PlotScript()},
		"/plot.css": {style, look.PlotStyle()},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", f.kind)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(f.text))
	})
}

type file struct{ kind, text string }

func ownScript() string {
	var own []string
	for _, name := range scripts {
		own = append(own, asset(name))
	}
	return look.Script(own...)
}

func asset(name string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // cannot happen: the file is embedded
	}
	return string(text)
}
