package clusterfile

import (
	"fmt"
	"regexp"
	"strings"
)

type placeholder struct{ name, value string }

// braces matches {name}, which is a placeholder, and ${name} and {{name}}, which are not. Names
// consist of lower-case letters.
var braces = regexp.MustCompile(`\$?\{[a-z]+\}|\{\{[a-z]+\}\}`)

// expand replaces each {name} by its value and {{name}} by {name}, and returns the names used. The
// error for an unknown name lists the allowed ones. ${name} is left to shells.
func expand(text string, values []placeholder) (expanded string, used []string, err error) {
	expanded = braces.ReplaceAllStringFunc(text, func(found string) string {
		switch {
		case strings.HasPrefix(found, "$"):
			return found
		case strings.HasPrefix(found, "{{"):
			return found[1 : len(found)-1]
		}
		var allowed []string
		for _, v := range values {
			if found == "{"+v.name+"}" {
				used = append(used, v.name)
				return v.value
			}
			allowed = append(allowed, "{"+v.name+"}")
		}
		err = fmt.Errorf("%q: unknown placeholder %s: want one of %s, or {%s} for the text", text, found, strings.Join(allowed, ", "), found)
		return found
	})
	return expanded, used, err
}
