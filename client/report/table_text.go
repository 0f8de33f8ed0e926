package report

import (
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

const terminalWidth = 120

// writeText writes the table in aligned columns. A table that is wider than a terminal is broken
// into several, one below the other, each with the columns that tell the cells apart.
func writeText(w io.Writer, t table) error {
	columns := make([][]string, len(t.Heads))
	for i := range columns {
		columns[i] = t.column(i)
	}
	gap := "  "
	if widthOf(columns, len(gap)) > terminalWidth && widthOf(columns, 1) <= terminalWidth {
		gap = " "
	}
	var b strings.Builder
	for n, block := range blocks(columns, t.Keys, len(gap)) {
		if n > 0 {
			b.WriteByte('\n')
		}
		writeBlock(&b, block, gap)
	}
	if len(t.Notes) > 0 {
		b.WriteByte('\n')
	}
	for i, note := range t.Notes {
		b.WriteString(superscript(i+1) + " " + note + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeBlock(b *strings.Builder, columns [][]string, gap string) {
	for line := range columns[0] {
		texts := make([]string, len(columns))
		for i, column := range columns {
			texts[i] = column[line]
		}
		if text := strings.TrimRight(strings.Join(texts, gap), " "); text != "" {
			b.WriteString(text + "\n") // no head may need two lines
		}
	}
}

// column returns the head, of two lines, and the entries of the i-th column, all of one width. Keys
// are at the left of their columns, other texts at the right; intervals stand below each other.
func (t table) column(i int) []string {
	const headLines = 2
	lines := append(make([]string, headLines-len(t.Heads[i])), t.Heads[i]...)
	texts, tails := 0, 0
	for _, row := range t.Rows {
		texts, tails = max(texts, width(row[i].Text)), max(tails, width(row[i].tail()))
	}
	for _, row := range t.Rows {
		text := row[i].Text
		if i >= t.Keys {
			text = padLeft(text, texts)
		}
		lines = append(lines, text+padRight(row[i].tail(), tails))
	}
	all := 0
	for _, l := range lines {
		all = max(all, width(l))
	}
	for n, l := range lines {
		if i < t.Keys || n < headLines && tails > 0 {
			lines[n] = padRight(l, all)
		} else {
			lines[n] = padLeft(l, all)
		}
	}
	return lines
}

// tail is what follows the text: bounds, and references to notes.
func (e entry) tail() string {
	tail := ""
	if e.Bounds != "" {
		tail = " " + e.Bounds
	}
	for i, n := range e.Notes {
		if i > 0 {
			tail += ","
		}
		tail += superscript(n)
	}
	return tail
}

// blocks splits the columns into as few blocks as fit a terminal, the keys before each, and of
// about the same width.
func blocks(columns [][]string, keys, gap int) [][][]string {
	keyColumns, rest := columns[:keys:keys], columns[keys:]
	free := max(1, terminalWidth-widthOf(keyColumns, gap)-gap)
	all := widthOf(rest, gap)
	fair := all / ((all + free - 1) / free)
	var split [][][]string
	block := keyColumns
	for i, c := range rest {
		used := widthOf(block[keys:], gap)
		with := widthOf(append(block[keys:len(block):len(block)], c), gap)
		if len(block) > keys && (with > free || used >= fair && i < len(rest)-1) {
			split = append(split, block)
			block = keyColumns
		}
		block = append(block, c)
	}
	return append(split, block)
}

// widthOf is that of columns beside each other.
func widthOf(columns [][]string, gap int) int {
	w := -gap
	for _, c := range columns {
		w += gap + width(c[0])
	}
	return max(0, w)
}

func width(s string) int { return utf8.RuneCountInString(s) }

func padLeft(s string, to int) string { return strings.Repeat(" ", max(0, to-width(s))) + s }

func padRight(s string, to int) string { return s + strings.Repeat(" ", max(0, to-width(s))) }

func superscript(n int) string {
	var b strings.Builder
	for _, digit := range strconv.Itoa(n) {
		b.WriteRune([]rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[digit-'0'])
	}
	return b.String()
}

// In Markdown, these would not be shown as they are.
var (
	markdown = strings.NewReplacer("|", `\|`, "*", `\*`)
	tagLike  = regexp.MustCompile(`<([a-zA-Z/!?])`)
)

func writeMarkdown(w io.Writer, t table) error {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	escape := func(s string) string { return tagLike.ReplaceAllString(markdown.Replace(s), `\<$1`) }
	heads, rules := make([]string, len(t.Heads)), make([]string, len(t.Heads))
	for i, h := range t.Heads {
		heads[i], rules[i] = escape(h.String()), "---:"
		if i < t.Keys {
			rules[i] = "---"
		}
	}
	line(heads)
	line(rules)
	for _, row := range t.Rows {
		cells := make([]string, len(row))
		for i, e := range row {
			cells[i] = escape(e.Text + e.tail())
		}
		line(cells)
	}
	for i, note := range t.Notes {
		b.WriteString("\n" + superscript(i+1) + " " + escape(note) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
