package design

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Mistake is what is wrong in a design.
type Mistake struct {
	Place
	// What has the value and what is allowed, on one line.
	What string
}

// Error returns one line: the place and what is wrong there.
func (m *Mistake) Error() string { return m.Name + ": " + m.What }

// Place is where a value of a design comes from.
type Place struct {
	// Name is FILE:LINE:COLUMN, or the FILE as a whole, or FACTOR=VALUE of an override.
	Name string
	// Excerpt is that line of the file, and a mark beneath the column, on two lines. May be empty.
	Excerpt string
}

func (p Place) mistake(format string, args ...any) error {
	return &Mistake{p, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")}
}

// file is a design file.
type file struct {
	path  string
	lines []string
}

// entry is one key of a mapping, with its value.
type entry struct {
	key   string
	at    Place
	value ast.Node
}

// key says how the value of a key of a mapping is read.
type key struct {
	name string
	read func(ast.Node) error
}

// parse returns the mapping that the text is.
func (f *file) parse(text []byte) (ast.Node, error) {
	tree, err := parser.ParseBytes(text, 0)
	var syntax yaml.Error
	switch {
	case errors.As(err, &syntax) && syntax.GetMessage() == "non-map value is specified":
		return nil, f.at(syntax.GetToken()).mistake("%q: want KEY: value", syntax.GetToken().Value)
	case errors.As(err, &syntax):
		return nil, f.at(syntax.GetToken()).mistake("want YAML: %s", syntax.GetMessage())
	case err != nil:
		return nil, f.at(nil).mistake("want YAML: %v", err)
	case len(tree.Docs) > 1 && tree.Docs[1].Body != nil:
		return nil, f.node(tree.Docs[1].Body).mistake("a second document: want one")
	case len(tree.Docs) == 0 || tree.Docs[0].Body == nil:
		return nil, f.at(nil).mistake("it is empty: want KEY: value")
	}
	return tree.Docs[0].Body, nil
}

// object reads a mapping that may have these keys and no others.
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
	return key{}, e.at.mistake("unknown key %q: want one of %s", e.key, strings.Join(names, ", "))
}

func (f *file) entries(n ast.Node) ([]entry, error) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return nil, f.node(n).mistake("%q: want KEY: value", n.GetToken().Value)
	}
	var entries []entry
	for _, v := range m.Values {
		k := v.Key.GetToken()
		if v.Value == nil || v.Value.Type() == ast.NullType {
			return nil, f.at(k).mistake("%s has no value: give one, or leave it out", k.Value)
		}
		entries = append(entries, entry{k.Value, f.at(k), v.Value})
	}
	return entries, nil
}

// list returns the items of a list; a single value is a list of one.
func (f *file) list(n ast.Node) ([]ast.Node, error) {
	l, ok := n.(*ast.SequenceNode)
	switch {
	case !ok:
		return []ast.Node{n}, nil
	case len(l.Values) == 0:
		return nil, f.node(n).mistake("an empty list: want at least one value, or leave the key out")
	}
	return l.Values, nil
}

// text returns the text of a scalar as the file has it.
func (f *file) text(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.NullNode, *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
	case ast.ScalarNode:
		return n.GetToken().Value, nil
	}
	return "", f.node(n).mistake("%q: want a single value", n.GetToken().Value)
}

// scalar reads a scalar of any form into a value. The mistake names the key.
func scalar[T any](f *file, name string, to *T, form form[T]) key {
	return key{name, func(n ast.Node) error {
		text, err := f.text(n)
		if err != nil {
			return err
		}
		v, err := form.parse(text)
		if err != nil {
			return f.node(n).mistake("%s %v", name, err)
		}
		*to = v
		return nil
	}}
}

func (f *file) node(n ast.Node) Place { return f.at(n.GetToken()) }

// at is the place of a token; nil is the file as a whole.
func (f *file) at(t *token.Token) Place {
	if t == nil || t.Position == nil {
		return Place{Name: f.path}
	}
	line, column := t.Position.Line, t.Position.Column
	p := Place{Name: fmt.Sprintf("%s:%d:%d", f.path, line, column)}
	if line <= len(f.lines) { // not the end of the file
		number := fmt.Sprintf("%4d | ", line)
		text := number + strings.TrimRight(f.lines[line-1], "\r")
		before := []rune(text)
		before = before[:min(len(number)+column-1, len(before))]
		p.Excerpt = text + "\n" + strings.Map(blank, string(before)) + "^"
	}
	return p
}

// blank is a space as wide as a character.
func blank(r rune) rune {
	if r == '\t' {
		return r
	}
	return ' '
}
