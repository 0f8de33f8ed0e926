package main

import (
	"slices"
	"strings"
)

// command is a simple command of a shell script: a program and its arguments.
type command struct {
	line  int      // from 0
	words []string // without quotes; $ and what follows it are kept
	dir   string   // that cd has changed to before
}

// lexer splits a script into commands. It knows the shell as far as documents need it.
type lexer struct {
	text     string
	at       int
	line     int
	word     strings.Builder
	inWord   bool
	words    []string
	start    int // the line of the first word
	commands []command
	redirect bool     // the next word is the file of a redirection
	heredocs []string // the ends of those that begin on the next line
}

// commands returns the simple commands of a script, those in $( ) among them.
func commands(script string) []command {
	l := &lexer{text: script}
	for l.at < len(l.text) {
		l.next()
	}
	l.endCommand()
	return inFolders(l.commands)
}

func (l *lexer) next() {
	c := l.text[l.at]
	rest := l.text[l.at:]
	switch {
	case strings.HasPrefix(rest, "\\\n"):
		l.at += 2
		l.line++
	case c == '\\' && len(rest) > 1:
		l.add(rest[1:2])
		l.at += 2
	case c == '\'' || c == '"':
		l.quoted(c)
	case strings.HasPrefix(rest, "$(") && !strings.HasPrefix(rest, "$(("):
		l.substitution(2)
	case c == '#' && !l.inWord:
		l.at += len(rest)
		if i := strings.IndexByte(rest, '\n'); i >= 0 {
			l.at += i - len(rest)
		}
	case c == '\n':
		l.endCommand()
		l.at++
		l.line++
		l.skipHeredocs()
	case c == ' ' || c == '\t':
		l.endWord()
		l.at++
	case c == '>' || c == '<' || c == '&' && len(rest) > 1 && rest[1] == '>':
		l.redirection(rest)
	case strings.IndexByte(";|&()", c) >= 0:
		l.endCommand()
		if c == '(' || c == ')' {
			l.commands = append(l.commands, command{line: l.line, words: []string{string(c)}})
		}
		l.at++
	default:
		l.add(string(c))
		l.at++
	}
}

// quoted reads a string in quotes. An end that is missing is the end of the script; running it, the
// shell complains.
func (l *lexer) quoted(quote byte) {
	l.add("")
	for l.at++; l.at < len(l.text) && l.text[l.at] != quote; {
		rest := l.text[l.at:]
		switch {
		case quote == '"' && strings.HasPrefix(rest, "$("):
			l.substitution(2)
			continue
		case quote == '"' && rest[0] == '\\' && len(rest) > 1 && strings.IndexByte("\"\\$`", rest[1]) >= 0:
			l.at++
		case rest[0] == '\n':
			l.line++
		}
		l.add(l.text[l.at : l.at+1])
		l.at++
	}
	l.at++
}

// substitution reads the command between the parentheses of $( ).
func (l *lexer) substitution(skip int) {
	l.add("$()")
	depth, end := 1, l.at+skip
	for ; end < len(l.text) && depth > 0; end++ {
		switch l.text[end] {
		case '(':
			depth++
		case ')':
			depth--
		}
	}
	inner := l.text[l.at+skip : max(l.at+skip, end-1)]
	for _, c := range commands(inner) {
		c.line += l.line
		l.commands = append(l.commands, c)
	}
	l.line += strings.Count(inner, "\n")
	l.at = end
}

// redirection reads < > >> 2>&1 &> and the like; <( ) and >( ) are commands.
func (l *lexer) redirection(rest string) {
	if strings.HasPrefix(rest, "<(") || strings.HasPrefix(rest, ">(") {
		l.substitution(2)
		return
	}
	if number := l.word.String(); l.inWord && strings.Trim(number, "0123456789") == "" {
		l.word.Reset() // a descriptor
		l.inWord = false
	}
	l.endWord()
	sign := rest[:len(rest)-len(strings.TrimLeft(rest, "<>&-"))]
	l.at += len(sign)
	l.redirect = true
	if strings.HasPrefix(sign, "<<") && !strings.HasPrefix(sign, "<<<") {
		line, _, _ := strings.Cut(l.text[l.at:], "\n")
		if fields := strings.Fields(line); len(fields) > 0 {
			l.heredocs = append(l.heredocs, strings.Trim(fields[0], `'"\`))
		}
	}
}

func (l *lexer) skipHeredocs() {
	for _, end := range l.heredocs {
		for l.at < len(l.text) {
			line, _, _ := strings.Cut(l.text[l.at:], "\n")
			l.at = min(l.at+len(line)+1, len(l.text))
			l.line++
			if strings.TrimLeft(line, "\t") == end {
				break
			}
		}
	}
	l.heredocs = nil
}

func (l *lexer) add(text string) {
	if len(l.words) == 0 && !l.inWord {
		l.start = l.line
	}
	l.word.WriteString(text)
	l.inWord = true
}

func (l *lexer) endWord() {
	if !l.inWord {
		return
	}
	if !l.redirect {
		l.words = append(l.words, l.word.String())
	}
	l.redirect = false
	l.word.Reset()
	l.inWord = false
}

// before are the words of the shell that stand before a command.
var before = []string{"if", "then", "elif", "else", "while", "until", "do", "!", "{", "time", "exec"}

// alone are those that stand for a whole command here.
var alone = []string{"fi", "done", "esac", "}", "for", "case"}

// endCommand ends a command, without the assignments before it.
func (l *lexer) endCommand() {
	l.endWord()
	words := l.words
	l.words = nil
	for len(words) > 0 {
		name, _, assigns := strings.Cut(words[0], "=")
		if !slices.Contains(before, words[0]) && (!assigns || strings.Trim(name, letters) != "") {
			break
		}
		words = words[1:]
	}
	if len(words) > 0 && !slices.Contains(alone, words[0]) {
		l.commands = append(l.commands, command{line: l.start, words: words})
	}
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789"

// inFolders follows cd, and drops it and the parentheses that bound it.
func inFolders(all []command) (followed []command) {
	var outer []string
	dir := ""
	for _, c := range all {
		switch {
		case c.words[0] == "(":
			outer = append(outer, dir)
		case c.words[0] == ")" && len(outer) > 0:
			dir = outer[len(outer)-1]
			outer = outer[:len(outer)-1]
		default:
			if c.dir == "" {
				c.dir = dir
			}
			if c.words[0] == "cd" && len(c.words) == 2 {
				dir = join(dir, c.words[1])
			}
			followed = append(followed, c)
		}
	}
	return followed
}
