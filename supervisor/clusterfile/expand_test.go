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
