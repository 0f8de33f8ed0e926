// Package look is what the pages of crashlab have in common: the colours of both themes, the style
// of text and controls, the shapes of outcomes, the lanes of replicas, and uPlot, which draws the
// charts. Its scripts are no modules: a page joins them with its own in one scope.
package look

import (
	"embed"
	"strings"
)

//go:embed assets
var assets embed.FS

// Colours returns the custom properties that are the colours of a theme.
func Colours(theme string) string { return asset(theme + ".css") }

// Style returns the style of a page: the colours of both themes, of which the page takes the one
// that the attribute data-theme of its root names, and what its elements look like.
func Style() string {
	return ":root {\n" + Colours("light") + "}\n:root[data-theme=\"dark\"] {\n" + Colours("dark") + "}\n" + asset("base.css")
}

// Script joins the scripts that pages share and the page's own, in the order in which they are run,
// in one strict scope. The page's own define what paint.js names.
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

// PlotStyle returns the style of uPlot.
func PlotStyle() string { return asset("uplot/uPlot.min.css") }

// PlotScript returns uPlot, with its licence. It defines the global uPlot.
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
