package inputfile

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The bounds of a YAML file. The library's time and memory grow with the square of each.
const (
	MaxYAML  = 64 << 10 // bytes
	maxLines = 4000
	maxDepth = 32 // collections in each other
)

// bom is the byte order mark, with which some editors begin a file.
const bom = "\ufeff"

// Document is the one document of a YAML file.
type Document struct {
	path  string
	lines []string
	// Root is nil when the file is empty, or has nothing but comments.
	Root   ast.Node
	places places
}

// Parse parses the text of the YAML file at a path, which may begin with a byte order mark. An
// error is a [*Mistake].
func Parse(path string, text []byte) (*Document, error) {
	text = bytes.TrimPrefix(text, []byte(bom))
	d := &Document{path: path, lines: strings.Split(strings.TrimRight(string(text), "\r\n"), "\n")}
	switch n := strings.Count(string(text), "\n") + strings.Count(string(text), "\r"); {
	case len(text) > MaxYAML:
		return nil, d.At(nil).Errorf("larger than %d KiB: want a smaller file", MaxYAML>>10)
	case n > 2*maxLines, len(d.lines) > maxLines:
		return nil, d.At(nil).Errorf("more than %d lines: want fewer", maxLines)
	}
	tokens := lexer.Tokenize(string(text))
	if t := tooDeep(tokens); t != nil {
		return nil, d.At(t).Errorf("more than %d lists and mappings in each other: want fewer", maxDepth)
	}
	if t := unquoted(tokens); t != nil {
		return nil, d.At(t).Errorf("{%s}: want quotes around a text with braces, such as \"{%[1]s}\"", t.Next.Value)
	}
	tree, err := parser.Parse(tokens, 0)
	var syntax yaml.Error
	switch {
	case errors.As(err, &syntax):
		return nil, d.syntax(syntax)
	case err != nil:
		return nil, d.At(nil).Errorf("want YAML: %v", err)
	case len(tree.Docs) > 1 && tree.Docs[1].Body != nil:
		return nil, d.Place(tree.Docs[1].Body).Errorf("a second document: want one")
	case len(tree.Docs) > 0:
		d.Root = tree.Docs[0].Body
	}
	return d, nil
}

// syntax is a mistake in the library's words, but for the most frequent one.
func (d *Document) syntax(err yaml.Error) error {
	at := d.At(err.GetToken())
	if t := err.GetToken(); t != nil && t.Type == token.StringType && (t.Next == nil || t.Next.Type != token.MappingValueType) {
		return at.Errorf("%q: want KEY: value (%s)", t.Value, err.GetMessage())
	}
	return at.Errorf("want YAML: %s", err.GetMessage())
}

// tooDeep returns the token that begins one collection too many in others; nil: there is none.
func tooDeep(tokens token.Tokens) *token.Token {
	var blocks []int // the columns of the block collections around
	brackets := 0    // and braces, that are open
	indicators := 0  // dashes, question marks and colons in the present item of a flow collection
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
			indicators = 0
		case token.SequenceEndType, token.MappingEndType:
			brackets = max(brackets-1, 0)
			indicators = 0
		case token.CollectEntryType:
			indicators = 0
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType:
			if brackets > 0 {
				indicators++
				break
			}
			column := t.Position.Column
			if t.Type == token.MappingValueType && t.Prev != nil {
				column = t.Prev.Position.Column // the key's
			}
			for len(blocks) > 0 && blocks[len(blocks)-1] >= column {
				blocks = blocks[:len(blocks)-1]
			}
			blocks = append(blocks, column)
		}
		if len(blocks)+brackets+indicators > maxDepth {
			return t
		}
	}
	return nil
}

// unquoted returns the brace that begins {WORD}; nil: there is none. To YAML that is a mapping with
// a key and no value, or no YAML at all, but its author meant a placeholder.
func unquoted(tokens token.Tokens) *token.Token {
	for i := range len(tokens) - 2 {
		if tokens[i].Type == token.MappingStartType && tokens[i+1].Type == token.StringType && tokens[i+2].Type == token.MappingEndType {
			return tokens[i]
		}
	}
	return nil
}

// Scalar returns the text of a scalar as the file has it; false for what is none, for null, and for
// what has an anchor, an alias or a tag.
func Scalar(n ast.Node) (text string, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.NullNode, *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return "", false
	case ast.ScalarNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// Mistake is what is wrong in a file or another input.
type Mistake struct {
	Place
	// What has the value and what is allowed, on one line.
	What string
}

// Error returns one line: the place and what is wrong there.
func (m *Mistake) Error() string {
	if m.Name == "" {
		return m.What
	}
	return m.Name + ": " + m.What
}

// Text returns the text of an error. That of a [*Mistake] has the excerpt beneath.
func Text(err error) string {
	text := err.Error()
	if m, ok := errors.AsType[*Mistake](err); ok && m.Excerpt != "" {
		text += "\n" + m.Excerpt
	}
	return text
}

// Place is where a value comes from.
type Place struct {
	// Name is FILE:LINE:COLUMN, or the FILE as a whole, or what else has the value, such as a flag.
	// May be empty.
	Name string
	// Excerpt is that line of the file, those around it, and a mark beneath the column. May be
	// empty.
	Excerpt string
}

// Errorf returns a [*Mistake] there, on one line of bounded length.
func (p Place) Errorf(format string, args ...any) error {
	what := []rune(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
	if len(what) > maxWhat {
		what = append(append(what[:maxWhat/2:maxWhat/2], '…'), what[len(what)-maxWhat/2:]...)
	}
	return &Mistake{p, string(what)}
}

// Place is where a node is.
func (d *Document) Place(n ast.Node) Place { return d.At(n.GetToken()) }

// At is where a token is; nil is the file as a whole.
func (d *Document) At(t *token.Token) Place {
	if t == nil || t.Position == nil {
		return Place{Name: d.path}
	}
	line, column := t.Position.Line, t.Position.Column
	return Place{Name: fmt.Sprintf("%s:%d:%d", d.path, line, column), Excerpt: d.excerpt(line, column)}
}

const (
	around   = 3   // lines of an excerpt, before its line and behind it
	maxWidth = 120 // of them, in characters
	maxWhat  = 600 // characters of a mistake
)

// excerpt shows a line, those around it, and where in it the column is. The
// YAML library's own has lost colons and tabs.
func (d *Document) excerpt(line, column int) string {
	if line > len(d.lines) { // the end of the file
		return ""
	}
	var lines []string
	left := max(column-maxWidth/2, 1) // the first column that is shown
	if left < maxWidth/2 {
		left = 1
	}
	for n := max(line-around, 1); n <= min(line+around, len(d.lines)); n++ {
		mark := ' '
		if n == line {
			mark = '>'
		}
		number := fmt.Sprintf("%c%3d | ", mark, n)
		text := cut(strings.TrimRight(d.lines[n-1], "\r"), left)
		lines = append(lines, number+string(text))
		if n == line {
			before := append([]rune(number), text...)
			before = before[:min(len(number)+column-left, len(before))]
			lines = append(lines, strings.Map(blank, string(before))+"^")
		}
	}
	return strings.Join(lines, "\n")
}

// cut returns a line from a column on, as much of it as there is room for.
func cut(line string, left int) []rune {
	text := []rune(line)
	text = text[min(left-1, len(text)):]
	return text[:min(maxWidth, len(text))]
}

// blank is a space as wide as a character.
func blank(r rune) rune {
	if r == '\t' {
		return r
	}
	return ' '
}
