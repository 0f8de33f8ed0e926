package lifecycle

import (
	"fmt"
	"testing"
)

func TestLayers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after map[string][]string
		want  string
	}{
		{"in no order", nil, "[[a b c d]] []"},
		{"a chain", map[string][]string{"a": {"b"}, "b": {"c"}}, "[[c d] [b] [a]] []"},
		{"a diamond", map[string][]string{"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}, "[[d] [b c] [a]] []"},
		{"after a stranger", map[string][]string{"a": {"x"}}, "[[a b c d]] []"},
		{"after itself", map[string][]string{"a": {"a"}, "b": {"a"}}, "[[c d]] [a]"},
		{"a circle", map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"b"}}, "[[d]] [b c]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			layers, circle := Layers([]string{"a", "b", "c", "d"}, tt.after)
			if got := fmt.Sprint(layers, " ", circle); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
