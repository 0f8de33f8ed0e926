package inputfile

import (
	"fmt"
	"regexp"
)

// variable matches ${NAME}, ${NAME:-DEFAULT} and $$.
var variable = regexp.MustCompile(`\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(:-([^}]*))?\}`)

// Interpolate replaces ${NAME} and ${NAME:-DEFAULT} by the environment variable that lookup finds,
// and $$ by a dollar sign. The default is used if the variable is not set or empty; without a
// default, a variable that is not set is an error. $NAME without braces is left to shells.
func Interpolate(text string, lookup func(string) (string, bool)) (replaced string, err error) {
	replaced = variable.ReplaceAllStringFunc(text, func(found string) string {
		if found == "$$" {
			return "$"
		}
		parts := variable.FindStringSubmatch(found)
		name, hasDefault, other := parts[1], parts[2] != "", parts[3]
		value, set := lookup(name)
		switch {
		case hasDefault && value == "":
			return other
		case !set:
			err = fmt.Errorf("%q: the environment has no %s: set it, give a default, ${%s:-VALUE}, or write $${%s} for the text", text, name, name, name)
		}
		return value
	})
	return replaced, err
}
