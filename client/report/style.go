package report

import (
	"fmt"
	"html/template"
)

// The colours are custom properties, light.css and dark.css, the same in the page and in pictures that stand alone. A page
// can be told which theme to take, a picture takes the one that the system prefers.
const (
	pageThemes = ":root {\n%s}\n:root[data-theme=\"dark\"] {\n%s}\n"
	fileThemes = ":root {\n%s}\n@media (prefers-color-scheme: dark) {\n:root {\n%s}\n}\n"
)

func themed(themes string, files ...string) template.CSS {
	style := fmt.Sprintf(themes, asset("light.css"), asset("dark.css"))
	for _, f := range files {
		style += asset(f)
	}
	return template.CSS(style)
}

func pageStyle() template.CSS {
	return themed(pageThemes, "report.css", "charts/charts.css", "charts/flow.css")
}

func fileStyle() template.CSS { return themed(fileThemes, "charts/file.css", "charts/charts.css") }

func asset(name string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(text)
}
