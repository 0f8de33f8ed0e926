package design

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"example.com/crashlab/supervisor/inputfile"
)

// Mistake is an error in a design.
type Mistake = inputfile.Mistake

// Place is the origin of a value: FILE:LINE:COLUMN, the whole FILE, or FACTOR=VALUE of an override.
type Place = inputfile.Place

// file is a design file.
type file struct {
	path string
	yaml *inputfile.Document
}

// entry is a key of a mapping and its value.
type entry struct {
	key   string
	at    Place
	value ast.Node
}

// key is a key that a mapping may have, and how to read its value.
type key struct {
	name string
	read func(ast.Node) error
}

// parse returns the root of the text, which is a mapping in a valid design.
func (f *file) parse(text []byte) (ast.Node, error) {
	var err error
	if f.yaml, err = inputfile.Parse(f.path, text); err != nil {
		return nil, err
	}
	if f.yaml.Root == nil {
		return nil, f.at(nil).Errorf("it is empty: want KEY: value")
	}
	return f.yaml.Root, nil
}

// object reads a mapping that may have only these keys.
func (f *file) object(n ast.Node, keys ...key) error {
	entries, err := f.entries(n)
	if err != nil {
		return err
	}
	for _, e := range entries {
		k, err := f.find(keys, e)
		if err != nil {
			return err
		}
		if err := k.read(e.value); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) find(keys []key, e entry) (key, error) {
	var names []string
	for _, k := range keys {
		if k.name == e.key {
			return k, nil
		}
		names = append(names, k.name)
	}
	return key{}, e.at.Errorf("unknown key %q: want one of %s", e.key, strings.Join(names, ", "))
}

func (f *file) entries(n ast.Node) ([]entry, error) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return nil, f.node(n).Errorf("%q: want KEY: value", n.GetToken().Value)
	}
	var entries []entry
	for _, v := range m.Values {
		k := v.Key.GetToken()
		if v.Value == nil || v.Value.Type() == ast.NullType {
			return nil, f.at(k).Errorf("%s has no value: give one, or leave it out", k.Value)
		}
		entries = append(entries, entry{k.Value, f.at(k), v.Value})
	}
	return entries, nil
}

// list returns the items of a list. A single value counts as a list of one.
func (f *file) list(n ast.Node) ([]ast.Node, error) {
	l, ok := n.(*ast.SequenceNode)
	switch {
	case !ok:
		return []ast.Node{n}, nil
	case len(l.Values) == 0:
		return nil, f.node(n).Errorf("an empty list: want at least one value, or leave the key out")
	}
	return l.Values, nil
}

// text returns a scalar as it is written in the file.
func (f *file) text(n ast.Node) (string, error) {
	if text, ok := inputfile.Scalar(n); ok {
		return text, nil
	}
	return "", f.node(n).Errorf("%q: want a single value", n.GetToken().Value)
}

// scalar reads a scalar into a value. Its errors name the key.
func scalar[T any](f *file, name string, to *T, form form[T]) key {
	return key{name, func(n ast.Node) error {
		text, err := f.text(n)
		if err != nil {
			return err
		}
		v, err := form.parse(text)
		if err != nil {
			return f.node(n).Errorf("%s %v", name, err)
		}
		*to = v
		return nil
	}}
}

func (f *file) node(n ast.Node) Place { return f.yaml.Place(n) }

// at returns the place of a token; nil stands for the whole file.
func (f *file) at(t *token.Token) Place { return f.yaml.At(t) }
