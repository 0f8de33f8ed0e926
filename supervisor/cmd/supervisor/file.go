package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/printer"
	"github.com/goccy/go-yaml/token"
)

const allowedKeys = "replicas, base_port, restart, restart_delay, stop_timeout, command, env, banner"

// content is what a cluster file says.
type content struct {
	Settings settings        `yaml:",inline"`
	Command  []word          `yaml:"command"` // with placeholders
	Env      map[string]word `yaml:"env"`     // added to ours; values with placeholders
	Banner   string          `yaml:"banner"`  // with {addrs} and {addr}
}

// word is a text as the file has it: 0755 or 1_000 is no number to a program.
type word string

func (w *word) UnmarshalYAML(n ast.Node) error {
	switch n := n.(type) {
	case *ast.StringNode:
		*w = word(n.Value)
	case *ast.LiteralNode:
		*w = word(n.Value.Value)
	case ast.ScalarNode:
		*w = word(n.GetToken().Value)
	default:
		return &yaml.SyntaxError{Message: fmt.Sprintf("%q: want a text", n.GetToken().Value), Token: n.GetToken()}
	}
	return nil
}

// file is a cluster file.
type file struct {
	content
	path string
	text []byte
}

func load(path string) (*file, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &mistake{where: "--config", what: err.Error()}
	}
	f := &file{path: path, text: text}
	if err := f.checkShape(); err != nil {
		return nil, err
	}
	err = yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&f.content)
	if err != nil && err != io.EOF {
		return nil, f.explain(err)
	}
	return f, nil
}

// checkShape refuses what the decoder passes over in silence: missing values,
// and documents after the first.
func (f *file) checkShape() error {
	tree, err := parser.ParseBytes(f.text, 0)
	if err != nil {
		return f.explain(err)
	}
	if len(tree.Docs) > 1 && tree.Docs[1].Body != nil {
		return f.mistakeAt(tree.Docs[1].Body.GetToken(), "a second document: want one")
	}
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if nulls := ast.Filter(ast.NullType, doc.Body); len(nulls) > 0 {
			key := strings.TrimPrefix(nulls[0].GetPath(), "$.")
			return f.mistakeAt(nulls[0].GetToken(), "%s has no value: give one, or leave it out", key)
		}
	}
	return nil
}

// explain turns the decoder's error into a mistake in our words.
func (f *file) explain(err error) error {
	var unknown *yaml.UnknownFieldError
	var wrong *yaml.TypeError
	var shape *yaml.UnexpectedNodeTypeError
	var positioned yaml.Error
	switch {
	case errors.As(err, &unknown):
		return f.mistakeAt(unknown.Token, "unknown key %q: want one of %s", unknown.Token.Value, allowedKeys)
	case errors.As(err, &wrong):
		return f.mistakeAt(wrong.Token, "%q: want %s", wrong.Token.Value, wanted(wrong.DstType.Kind() == reflect.Slice, wrong.DstType.Kind() == reflect.Map))
	case errors.As(err, &shape):
		return f.mistakeAt(shape.Token, "%q: want %s", shape.Token.Value, wanted(shape.Expected == ast.SequenceType, shape.Expected == ast.MappingType))
	case errors.As(err, &positioned):
		return f.mistakeAt(positioned.GetToken(), "%s", positioned.GetMessage())
	}
	return &mistake{where: f.path, what: err.Error()}
}

// wanted names the type of a value of the file.
func wanted(list, mapping bool) string {
	switch {
	case list:
		return "a list of texts, such as [PROGRAM, ARG]"
	case mapping:
		return "KEY: value"
	}
	return "a text"
}

// mistake says what is wrong with the value at the path of keys and indexes.
func (f *file) mistake(what string, path ...any) error {
	b := new(yaml.PathBuilder).Root()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			b = b.Child(step)
		case int:
			b = b.Index(uint(step))
		}
	}
	node, err := b.Build().ReadNode(bytes.NewReader(f.text))
	if err != nil {
		return f.mistakeAt(nil, "%s", what)
	}
	return f.mistakeAt(node.GetToken(), "%s", what)
}

// mistakeAt says what is wrong at a token; nil is the file as a whole.
func (f *file) mistakeAt(at *token.Token, format string, args ...any) error {
	m := &mistake{where: f.path, what: strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")}
	if at != nil && at.Position != nil {
		var p printer.Printer
		m.where = fmt.Sprintf("%s:%d:%d", f.path, at.Position.Line, at.Position.Column)
		m.excerpt = strings.TrimRight(p.PrintErrorToken(at, false), "\n")
	}
	return m
}
