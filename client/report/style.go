package report

import (
	"fmt"
	"html/template"

	"example.com/crashlab/client/look"
)

func pageStyle() template.CSS {
	return template.CSS(look.Style() + asset("report.css") + asset("charts/charts.css") + asset("charts/flow.css"))
}

// fileStyle is the style of a picture in a file of its own. It follows the theme of the system.
func fileStyle() template.CSS {
	const themes = ":root {\n%s}\n@media (prefers-color-scheme: dark) {\n:root {\n%s}\n}\n"
	colors := fmt.Sprintf(themes, look.Colors("light"), look.Colors("dark"))
	return template.CSS(colors + asset("charts/file.css") + asset("charts/charts.css"))
}

func asset(name string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(text)
}
