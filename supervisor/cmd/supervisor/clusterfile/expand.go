package clusterfile

import (
	"fmt"
	"regexp"
	"strings"
)

type placeholder struct{ name, value string }

// A shell's ${name} is not ours, nor is anything but lower-case letters in
// braces.
var braces = regexp.MustCompile(`\$?\{[a-z]+\}|\{\{[a-z]+\}\}`)

// expand replaces {name} by its value and returns the names used. An unknown
// one is an error that lists the allowed ones. {{name}} is {name} as a text.
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
