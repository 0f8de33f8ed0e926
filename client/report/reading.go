package report

import (
	"html/template"
	"strings"
)

// funcs are the functions of the templates.
var funcs = template.FuncMap{"explanation": explanation}

// explanation returns the anchor in the page's section "How to read this" that explains a column or
// a footnote; empty if none does.
func explanation(text string) string {
	switch {
	case text == "trials", text == "cell", text == "design effect":
		return strings.ReplaceAll(text, " ", "-")
	case text == "sent per call", text == "sent per call, predicted":
		return "attempts-per-call"
	case strings.HasPrefix(text, "all trials are equal"):
		return "equal-trials"
	}
	return ""
}
