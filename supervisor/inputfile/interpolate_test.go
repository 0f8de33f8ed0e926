package inputfile

import (
	"strings"
	"testing"
)

func TestInterpolate(t *testing.T) {
	env := map[string]string{"A": "1", "EMPTY": ""}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for text, want := range map[string]string{
		"${A}": "1", "x${A}y${A}": "x1y1", "${EMPTY}": "", "${EMPTY:-d}": "d", "${B:-}": "", "${B:-a b}": "a b", "${A:-d}": "1",
		"$A": "$A", "$": "$", "$$": "$", "$${A}": "${A}", "$$$$": "$$", "${": "${", "${A": "${A", "${1}": "${1}", "{name}": "{name}", "$(x)": "$(x)",
	} {
		if got, err := Interpolate(text, lookup); got != want || err != nil {
			t.Errorf("%q became %q, %v; want %q", text, got, err, want)
		}
	}
	if _, err := Interpolate("${A}${B}", lookup); err == nil || !strings.Contains(err.Error(), "no B") {
		t.Errorf("got %v for a variable that is not set", err)
	}
}

func FuzzInterpolate(f *testing.F) {
	for _, text := range []string{"${A}", "${B:-x}$$", "$A", "${", "$$${A}", "${A:-${B}}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Interpolate(text, func(name string) (string, bool) { return "v", name == "A" })
		switch {
		case !strings.Contains(text, "$") && (got != text || err != nil):
			t.Errorf("%q became %q, %v", text, got, err)
		case err != nil && !strings.Contains(text, "${"):
			t.Errorf("%q: %v", text, err)
		}
		if again, err := Interpolate(strings.ReplaceAll(text, "$", "$$"), nil); again != text || err != nil {
			t.Errorf("%q with its dollars doubled became %q, %v", text, again, err)
		}
	})
}
