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

// Limits of a YAML file. The time and memory of the YAML library grow with the square of each.
const (
	MaxYAML  = 64 << 10 // bytes
	maxLines = 4000
	maxDepth = 32 // nested collections
)

// bom is the byte order mark, with which some editors begin a file.
const bom = "\ufeff"

// Document is the only document of a YAML file.
type Document struct {
	path  string
	lines []string
	// Root is nil if the file is empty or has only comments.
	Root   ast.Node
	places places
}

// Parse parses a YAML file. The path is used in errors, which are of type [*Mistake].
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

// syntax returns the mistake for a syntax error, in the library's words except for the most
// frequent one.
func (d *Document) syntax(err yaml.Error) error {
	at := d.At(err.GetToken())
	if t := err.GetToken(); t != nil && t.Type == token.StringType && (t.Next == nil || t.Next.Type != token.MappingValueType) {
		return at.Errorf("%q: want KEY: value (%s)", t.Value, err.GetMessage())
	}
	return at.Errorf("want YAML: %s", err.GetMessage())
}

// tooDeep returns the token that begins the first collection nested too deeply, or nil.
func tooDeep(tokens token.Tokens) *token.Token {
	var blocks []int // columns of the enclosing block collections
	brackets := 0    // open brackets and braces
	indicators := 0  // dashes, question marks and colons in the current item of a flow collection
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
				column = t.Prev.Position.Column // of the key
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

// unquoted returns the brace that begins {WORD}, or nil. In YAML that is a mapping from a key to
// nothing, or invalid, but the author meant a placeholder.
func unquoted(tokens token.Tokens) *token.Token {
	for i := range len(tokens) - 2 {
		if tokens[i].Type == token.MappingStartType && tokens[i+1].Type == token.StringType && tokens[i+2].Type == token.MappingEndType {
			return tokens[i]
		}
	}
	return nil
}

// Scalar returns the text of a scalar as written in the file. It returns false for other nodes, for
// null, and for nodes with an anchor, an alias or a tag.
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

// Mistake is an error in a file or another input of the user.
type Mistake struct {
	Place
	// What has the value and what is allowed, on one line.
	What string
}

// Error returns the place and What on one line.
func (m *Mistake) Error() string {
	if m.Name == "" {
		return m.What
	}
	return m.Name + ": " + m.What
}

// Text returns the text of an error, followed by the excerpt if it is a [*Mistake].
func Text(err error) string {
	text := err.Error()
	if m, ok := errors.AsType[*Mistake](err); ok && m.Excerpt != "" {
		text += "\n" + m.Excerpt
	}
	return text
}

// Place is the origin of a value.
type Place struct {
	// Name is FILE:LINE:COLUMN, or FILE for the whole file, or the name of another origin, such as
	// a flag. It may be empty.
	Name string
	// Excerpt has that line of the file, the lines around it, and a mark below the column. It may
	// be empty.
	Excerpt string
}

// Errorf returns a [*Mistake] at p. Its text is made one line of limited length.
func (p Place) Errorf(format string, args ...any) error {
	what := []rune(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
	if len(what) > maxWhat {
		what = append(append(what[:maxWhat/2:maxWhat/2], '…'), what[len(what)-maxWhat/2:]...)
	}
	return &Mistake{p, string(what)}
}

// Place returns the place of a node.
func (d *Document) Place(n ast.Node) Place { return d.At(n.GetToken()) }

// At returns the place of a token, or of the whole file if t is nil.
func (d *Document) At(t *token.Token) Place {
	if t == nil || t.Position == nil {
		return Place{Name: d.path}
	}
	line, column := t.Position.Line, t.Position.Column
	return Place{Name: fmt.Sprintf("%s:%d:%d", d.path, line, column), Excerpt: d.excerpt(line, column)}
}

const (
	around   = 3   // lines of an excerpt before and after its line
	maxWidth = 120 // characters of each of them
	maxWhat  = 600 // characters of a mistake
)

// excerpt shows a line, the lines around it, and a mark below the column. The YAML library's own
// excerpts lose colons and tabs.
func (d *Document) excerpt(line, column int) string {
	if line > len(d.lines) { // end of the file
		return ""
	}
	var lines []string
	left := max(column-maxWidth/2, 1) // first column shown
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

// cut returns the part of a line that is shown, from a column on.
func cut(line string, left int) []rune {
	text := []rune(line)
	text = text[min(left-1, len(text)):]
	return text[:min(maxWidth, len(text))]
}

// blank returns a space as wide as a character.
func blank(r rune) rune {
	if r == '\t' {
		return r
	}
	return ' '
}
