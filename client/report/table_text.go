package report

import (
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const terminalWidth = 80

// writeText writes the table in aligned columns. A table that is wider than a terminal is split
// into several, one below the other, each beginning with the columns that tell the rows apart. If
// these leave no room for another, their entries are folded.
func writeText(w io.Writer, t table) error {
	columns := make([][]string, len(t.Heads))
	for i := range columns {
		columns[i] = t.column(i)
	}
	gap := "  "
	if widthOf(columns, len(gap)) > terminalWidth && widthOf(columns, 1) <= terminalWidth {
		gap = " "
	}
	if widest := widestLine(columns[t.Keys:]); widthOf(columns[:t.Keys], len(gap))+len(gap)+widest > terminalWidth {
		columns = foldKeys(columns, t.Keys, min(terminalWidth*3/5, terminalWidth-len(gap)-widest), len(gap))
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
		b.WriteString(fold(superscript(i+1)+" "+note, terminalWidth) + "\n")
	}
	if legend := t.Legend(); legend != "" {
		b.WriteString("\n" + fold(legend, terminalWidth) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// foldKeys folds the entries of the keys so that together they are at most so wide, if words allow.
// It shortens the widest columns.
func foldKeys(columns [][]string, keys, most, gap int) [][]string {
	const least = 8
	widths := make([]int, keys)
	all := (keys - 1) * gap
	for i := range widths {
		widths[i] = width(columns[i][0])
		all += widths[i]
	}
	for ; all > most && slices.Max(widths) > least; all-- {
		widths[slices.Index(widths, slices.Max(widths))]--
	}
	folded := make([][]string, len(columns))
	for line := range columns[0] {
		height := 1
		parts := make([][]string, len(columns))
		for i, column := range columns {
			parts[i] = []string{column[line]}
			if i < keys {
				parts[i] = strings.Split(fold(column[line], widths[i]), "\n")
			}
			height = max(height, len(parts[i]))
		}
		for i := range columns {
			folded[i] = append(folded[i], append(parts[i], make([]string, height-len(parts[i]))...)...)
		}
	}
	for i, column := range folded {
		all := widestLine(folded[i : i+1])
		for n := range column {
			column[n] = padRight(column[n], all)
		}
	}
	return folded
}

// fold breaks a text at spaces into lines of at most so many characters.
func fold(text string, most int) string {
	var b strings.Builder
	line := 0
	for i, word := range strings.Fields(text) {
		switch w := width(word); {
		case i == 0:
			line = w
		case line+1+w > most:
			b.WriteByte('\n')
			line = w
		default:
			b.WriteByte(' ')
			line += 1 + w
		}
		b.WriteString(word)
	}
	return b.String()
}

func writeBlock(b *strings.Builder, columns [][]string, gap string) {
	for line := range columns[0] {
		texts := make([]string, len(columns))
		for i, column := range columns {
			texts[i] = column[line]
		}
		if text := strings.TrimRight(strings.Join(texts, gap), " "); text != "" {
			b.WriteString(text + "\n") // the first line is empty if no head needs two
		}
	}
}

// column returns the two lines of the head and the entries of the i-th column, padded to one width.
// Keys are aligned left, other texts right, and intervals below each other.
func (t table) column(i int) []string {
	const headLines = 2
	lines := append(make([]string, headLines-len(t.Heads[i])), t.Heads[i]...)
	texts, tails := 0, 0
	for _, row := range t.Rows {
		texts, tails = max(texts, width(row[i].Text)), max(tails, width(row[i].tail()))
	}
	for _, row := range t.Rows {
		text := row[i].shown()
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

// shown is the text as tables without scrolling show it: repetitions are blank.
func (e entry) shown() string {
	if e.Repeated {
		return ""
	}
	return e.Text
}

// tail is what follows the text: bounds and references to footnotes.
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

// blocks splits the columns into as few blocks as fit a terminal, of about the same width, each
// beginning with the keys.
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

// widthOf returns the width of columns side by side.
func widthOf(columns [][]string, gap int) int {
	w := -gap
	for _, c := range columns {
		w += gap + width(c[0])
	}
	return max(0, w)
}

// widestLine returns the width of the widest line of the columns.
func widestLine(columns [][]string) int {
	widest := 0
	for _, c := range columns {
		for _, line := range c {
			widest = max(widest, width(line))
		}
	}
	return widest
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

// What Markdown would not show as it is.
var (
	markdown = strings.NewReplacer("|", `\|`, "*", `\*`)
	tagLike  = regexp.MustCompile(`<([a-zA-Z/!?])`)
)

func escapeMarkdown(s string) string { return tagLike.ReplaceAllString(markdown.Replace(s), `\<$1`) }

func writeMarkdown(w io.Writer, t table) error {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	heads, rules := make([]string, len(t.Heads)), make([]string, len(t.Heads))
	for i, h := range t.Heads {
		heads[i], rules[i] = escapeMarkdown(h.String()), "---:"
		if i < t.Keys {
			rules[i] = "---"
		}
	}
	line(heads)
	line(rules)
	for _, row := range t.Rows {
		cells := make([]string, len(row))
		for i, e := range row {
			cells[i] = escapeMarkdown(e.shown() + e.tail())
		}
		line(cells)
	}
	for i, note := range t.Notes {
		b.WriteString("\n" + superscript(i+1) + " " + escapeMarkdown(note) + "\n")
	}
	if legend := t.Legend(); legend != "" {
		b.WriteString("\n" + escapeMarkdown(legend) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
