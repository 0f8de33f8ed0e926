package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// unwanted are phrases that are never right in this project's documents.
var unwanted = regexp.MustCompile(`(?i)\b(in earnest|as one would|in flocks|is told|are told|who waits|is had|are had|to be had)\b`)

// checkWords checks the prose of a document.
func (c *checker) checkWords(d *document) {
	for _, m := range unwanted.FindAllStringIndex(strings.ReplaceAll(d.prose, "\n", " "), -1) {
		c.find(d, d.line(m[0]), "%q: say it in plain English", d.text[m[0]:m[1]])
	}
}

// alternatives makes a bar without spaces, as in --format html|md, a part of its word.
var alternatives = strings.NewReplacer(" | ", " | ", "|", "/")

// checkSpans checks the commands in spans of code.
func (c *checker) checkSpans(d *document) {
	for _, s := range d.spans {
		words := strings.Fields(s.text)
		if len(words) < 2 || !isOurs(words[0]) && !slices.Contains([]string{"make", "go"}, words[0]) {
			continue
		}
		for _, cmd := range commands(alternatives.Replace(s.text)) {
			c.counts.read++
			// A span may name a flag alone.
			if err := c.checkCommand(cmd); err != nil && !errors.Is(err, errNoValue) {
				c.find(d, d.line(s.start), "%v", err)
			}
		}
	}
}
