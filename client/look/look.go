// Package look holds what the pages of crashlab share: the colors of both themes, the style of
// text and controls, the shapes of outcomes, the lanes of replicas, and uPlot, which draws charts.
// Its scripts are not modules: a page concatenates them with its own in one scope.
package look

import (
	"embed"
	"strings"
)

//go:embed assets
var assets embed.FS

// Colors returns the CSS custom properties with the colors of a theme, light or dark.
func Colors(theme string) string { return asset(theme + ".css") }

// Style returns the style sheet of a page. The attribute data-theme of the page's root selects the
// dark theme; the default is light.
func Style() string {
	return ":root {\n" + Colors("light") + "}\n:root[data-theme=\"dark\"] {\n" + Colors("dark") + "}\n" + asset("base.css")
}

// Script concatenates the shared scripts and then the page's own, in one strict scope. The page's
// own must define the names that paint.js lists.
func Script(own ...string) string {
	var b strings.Builder
	b.WriteString("(() => {\n\"use strict\";\n")
	for _, name := range []string{"paint.js", "axes.js", "lanes.js"} {
		b.WriteString(asset(name))
	}
	for _, text := range own {
		b.WriteString(text)
	}
	b.WriteString("})();\n")
	return b.String()
}

// PlotStyle returns the style sheet of uPlot.
func PlotStyle() string { return asset("uplot/uPlot.min.css") }

// PlotScript returns uPlot with its license. It defines the global variable uPlot.
func PlotScript() string {
	return "/*!\n" + asset("uplot/LICENSE") + "*/\n" + asset("uplot/uPlot.iife.min.js")
}

func asset(name string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(text)
}
