package main

import (
	"regexp"
	"slices"
	"strings"
)

// document is one file of Markdown.
type document struct {
	name   string // its path from the root of the repository, with slashes
	text   string
	blocks []*block
	// prose is text with blanks in place of code blocks, comments and code spans, so that offsets
	// are the same in both.
	prose    string
	comments []span
	spans    []span // code spans, without their backquotes
	changes  []change
}

// change replaces a part of a document.
type change struct {
	start, end int
	text       string
}

// span is a part of a document's text.
type span struct {
	start, end int
	text       string
}

// block is a fenced block of code.
type block struct {
	language string
	line     int // of its first line of code, from 1
	indent   string
	lines    []string
	marks    marks
}

// isScript reports whether a block has commands.
func (b *block) isScript() bool { return b.language == "sh" || b.language == "console" }

var fence = regexp.MustCompile("^([ \t]*)(```+|~~~+)[ \t]*([^ \t`]*)[^`]*$")

// parse parses a document. It reports errors to find.
func parse(name, text string, find func(line int, format string, args ...any)) *document {
	d := &document{name: name, text: text}
	prose := []byte(text)
	var b *block
	var opened string
	offset := 0
	for i, line := range strings.SplitAfter(text, "\n") {
		bare := strings.TrimSuffix(line, "\n")
		m := fence.FindStringSubmatch(bare)
		switch {
		case b == nil && m != nil:
			opened = m[2]
			b = &block{language: m[3], line: i + 2, indent: m[1]}
			blank(prose[offset : offset+len(line)])
		case b != nil && strings.HasPrefix(strings.TrimSpace(bare), opened) && strings.Trim(bare, " \t`~") == "":
			d.blocks = append(d.blocks, b)
			b = nil
			blank(prose[offset : offset+len(line)])
		case b != nil:
			b.lines = append(b.lines, strings.TrimPrefix(bare, b.indent))
			blank(prose[offset : offset+len(line)])
		}
		offset += len(line)
	}
	if b != nil {
		find(b.line-1, "the code block has no end: want %s", opened)
		d.blocks = append(d.blocks, b)
	}
	d.findSpans(prose)
	d.prose = string(prose)
	for _, c := range d.comments {
		mark, ok := strings.CutPrefix(c.text, "check:")
		if !ok {
			continue
		}
		line := d.line(c.start)
		b := d.blockAfter(c.end)
		if b == nil {
			find(line, "%q marks nothing: want a code block on the next line", "check:"+mark)
			continue
		}
		if err := b.marks.add(mark); err != nil {
			find(line, "%v", err)
		}
	}
	return d
}

// findSpans finds the comments and code spans in prose, and blanks them.
func (d *document) findSpans(prose []byte) {
	text := string(prose)
	for i := 0; i < len(text); {
		rest := text[i:]
		switch {
		case rest[0] == '\\':
			i += 2
		case strings.HasPrefix(rest, "<!--"):
			end := strings.Index(rest, "-->")
			if end < 0 {
				return
			}
			d.comments = append(d.comments, span{i, i + end + 3, strings.TrimSpace(d.text[i+4 : i+end])})
			blank(prose[i : i+end+3])
			i += end + 3
		case rest[0] == '`':
			ticks := len(rest) - len(strings.TrimLeft(rest, "`"))
			paragraph, _, _ := strings.Cut(rest, "\n\n")
			end := closing(paragraph, ticks)
			if end < 0 {
				i += ticks
				continue
			}
			code := strings.Join(strings.Fields(d.text[i+ticks:i+end]), " ")
			d.spans = append(d.spans, span{i, i + end + ticks, code})
			blank(prose[i : i+end+ticks])
			i += end + ticks
		default:
			i++
		}
	}
}

// closing returns the offset of the backquotes that close the code span at the start of text, or
// -1.
func closing(text string, ticks int) int {
	for i := ticks; i < len(text); {
		if text[i] != '`' {
			i++
			continue
		}
		n := len(text[i:]) - len(strings.TrimLeft(text[i:], "`"))
		if n == ticks {
			return i
		}
		i += n
	}
	return -1
}

func blank(text []byte) {
	for i, c := range text {
		if c != '\n' {
			text[i] = ' '
		}
	}
}

// line returns the number of the line at an offset.
func (d *document) line(offset int) int { return 1 + strings.Count(d.text[:offset], "\n") }

// offset returns the offset of a line.
func (d *document) offset(line int) int {
	at := 0
	for range line - 1 {
		at += strings.Index(d.text[at:], "\n") + 1
	}
	return at
}

// blockAfter returns the block that follows offset, with only white space and comments in between.
func (d *document) blockAfter(offset int) *block {
	for _, c := range d.comments {
		if c.start >= offset && strings.TrimSpace(d.text[offset:c.start]) == "" {
			offset = c.end
		}
	}
	next := d.line(offset) + 1
	for lines := strings.Split(d.text, "\n"); next <= len(lines) && strings.TrimSpace(lines[next-1]) == ""; {
		next++
	}
	i := slices.IndexFunc(d.blocks, func(b *block) bool { return b.line == next+1 })
	if i < 0 {
		return nil
	}
	return d.blocks[i]
}
