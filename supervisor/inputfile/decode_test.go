package inputfile

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"example.com/crashlab/supervisor/parse"
)

type text string

func (t *text) UnmarshalText(b []byte) error { *t = text(b); return nil }

type number int

func (n *number) UnmarshalText(b []byte) (err error) {
	*(*int)(n), err = parse.Whole(string(b), 1, 9)
	return err
}

// A pair may be written as its name alone.
func (p *pair) UnmarshalText(b []byte) error { p.Name = text(b); return nil }

type pair struct {
	Name  text    `yaml:"name"`
	Count *number `yaml:"count"`
}

type inner struct {
	Mode text `yaml:"mode"`
}

type outer struct {
	inner
	Words  []text           `yaml:"words"`
	Pair   *pair            `yaml:"pair"`
	Groups map[string]inner `yaml:"groups"`
}

func TestDecode(t *testing.T) {
	d, err := Parse("x.yaml", []byte("mode: 0755\nwords: [1_000, 'b', yes, X]\npair: {name: n, count: 3}\ngroups:\n  z: {mode: a}\n  a:\n    mode: b\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got outer
	err = d.Decode(&got, func(s string, _ encoding.TextUnmarshaler) (string, error) {
		return strings.ReplaceAll(s, "X", "x"), nil
	})
	want := outer{
		inner{"0755"}, []text{"1_000", "b", "yes", "x"}, &pair{"n", new(number(3))}, map[string]inner{"z": {"a"}, "a": {"b"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got := d.Keys("groups"); !slices.Equal(got, []string{"z", "a"}) {
		t.Errorf("keys %q, want the order of the file", got)
	}
	for place, want := range map[Place]string{
		d.Value("mode"): "x.yaml:1:7", d.Value("words[1]"): "x.yaml:2:16", d.Value("pair.count"): "x.yaml:3:24",
		d.Key("pair.count"): "x.yaml:3:17", d.Value("groups.a"): "x.yaml:6:3", d.Value("none"): "x.yaml",
	} {
		if place.Name != want {
			t.Errorf("got %s, want %s", place.Name, want)
		}
	}
	if !d.Has("groups.z.mode") || d.Has("groups.z.count") || d.Has("none") {
		t.Error("it has what is not there, or the other way round")
	}
}

func TestDecodeIsStrict(t *testing.T) {
	for in, want := range map[string]string{
		"made: 1":                 `1:1: unknown key "made": want one of mode, words, pair, groups`,
		"pair: {nmae: 1}":         `1:8: unknown key "nmae": want one of name, count`,
		"mode: ~":                 `1:7: mode has no value: give one, or leave it out`,
		"words: [a, ~]":           `1:12: words[1] has no value: give one, or leave it out`,
		"words: a":                `1:8: words: "a": want a list of texts, such as [a, b]`,
		"groups: [a]":             `1:9: groups: "[": want KEY: value`,
		"mode: [a]":               `1:7: mode: "[a]": want a text`,
		"pair: {count: 10}":       `1:15: pair.count: "10": want a whole number from 1 to 9`,
		"mode: *x":                `1:7: "*": want a value without anchors, aliases and tags`,
		"mode: BAD":               `1:7: mode: "BAD" is bad`,
		"[a]":                     `1:1: "[": want KEY: value`,
		"groups: {a: {pair: {}}}": `1:14: unknown key "pair": want one of mode`,
	} {
		d, err := Parse("x.yaml", []byte(in))
		if err == nil {
			err = d.Decode(new(outer), func(s string, _ encoding.TextUnmarshaler) (string, error) {
				if s == "BAD" {
					return "", fmt.Errorf("%q is bad", s)
				}
				return s, nil
			})
		}
		if m, ok := errors.AsType[*Mistake](err); !ok || m.Error() != "x.yaml:"+want || !strings.Contains(m.Excerpt, "^") {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
	}
	d, err := Parse("x.yaml", []byte("# nothing\n"))
	if err == nil {
		err = d.Decode(new(outer), nil)
	}
	if err != nil || d.Keys("") != nil {
		t.Errorf("an empty file: %v", err)
	}
}
