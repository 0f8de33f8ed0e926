package clusterfile

import (
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	values := []placeholder{{"name", "b"}, {"addr", "h:1"}}
	for _, tt := range []struct{ text, want, used, err string }{
		{"plain", "plain", "", ""},
		{"--x={name}@{addr}", "--x=b@h:1", "name addr", ""},
		{"${name} $x{} {Name} {name1} {{name}} {{{name}}}", "${name} $x{} {Name} {name1} {name} {{name}}", "", ""},
		{`{"crash_probability":1}`, `{"crash_probability":1}`, "", ""},
		{"{port}", "", "", `"{port}": unknown placeholder {port}: want one of {name}, {addr}, or {{port}} for the text`},
	} {
		got, used, err := expand(tt.text, values)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("expand(%q): error %v, want %s", tt.text, err, tt.err)
			}
			continue
		}
		if err != nil || got != tt.want || strings.Join(used, " ") != tt.used {
			t.Errorf("expand(%q) = %q, %q, %v; want %q, %q", tt.text, got, used, err, tt.want, tt.used)
		}
	}
}

func TestInterpolate(t *testing.T) {
	env := map[string]string{"A": "1", "EMPTY": ""}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for text, want := range map[string]string{
		"${A}": "1", "x${A}y${A}": "x1y1", "${EMPTY}": "", "${EMPTY:-d}": "d", "${B:-}": "", "${B:-a b}": "a b", "${A:-d}": "1",
		"$A": "$A", "$": "$", "$$": "$", "$${A}": "${A}", "$$$$": "$$", "${": "${", "${A": "${A", "${1}": "${1}", "{name}": "{name}", "$(x)": "$(x)",
	} {
		if got, err := interpolate(text, lookup); got != want || err != nil {
			t.Errorf("%q became %q, %v; want %q", text, got, err, want)
		}
	}
	if _, err := interpolate("${A}${B}", lookup); err == nil || !strings.Contains(err.Error(), "no B") {
		t.Errorf("got %v for a variable that is not set", err)
	}
}
