package inventory

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// table reads comma-separated values.
func (p *reader) table(text []byte) error {
	rows := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(text), "\ufeff")))
	rows.Comment, rows.TrimLeadingSpace, rows.FieldsPerRecord = '#', true, -1
	columns, err := p.header(rows)
	if err != nil {
		return err
	}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return p.syntax(err)
		}
		line, column := rows.FieldPos(0)
		r := record{word{"", line, column}, map[string]cell{}}
		for i, text := range row {
			if i < len(columns) {
				line, column := rows.FieldPos(i)
				r.cells[columns[i]] = fieldCell(word{strings.TrimSpace(text), line, column})
			}
		}
		if len(row) != len(columns) {
			p.report(r.word, "", "the row has %d fields; the first row names %d columns", len(row), len(columns))
		}
		if err := p.add(r); err != nil {
			return err
		}
	}
}

// fieldCell is a field, whose values stand with blanks between.
func fieldCell(all word) cell {
	c := cell{word: all}
	for _, text := range strings.Fields(all.text) {
		c.words = append(c.words, word{text, all.line, all.column})
	}
	return c
}

// header reads the names of the columns.
func (p *reader) header(rows *csv.Reader) ([]string, error) {
	row, err := rows.Read()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: it is empty; a first row such as %s is wanted", p.file, strings.Join(known, ","))
	}
	if err != nil {
		return nil, p.syntax(err)
	}
	var columns []string
	for i, name := range row {
		name = strings.ToLower(strings.TrimSpace(name))
		line, column := rows.FieldPos(i)
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s:%d:%d: %q is no column; allowed: %s (a YAML file is one whose name ends with .yaml)",
				p.file, line, column, name, strings.Join(known, ", "))
		}
		if slices.Contains(columns, name) {
			return nil, fmt.Errorf("%s:%d:%d: column %q is there twice", p.file, line, column, name)
		}
		columns = append(columns, name)
	}
	for _, name := range needed {
		if !slices.Contains(columns, name) {
			return nil, fmt.Errorf("%s:1:1: column %q is missing; wanted: %s", p.file, name, strings.Join(needed, ", "))
		}
	}
	return columns, nil
}

func (p *reader) syntax(err error) error {
	var at *csv.ParseError
	if errors.As(err, &at) {
		return fmt.Errorf("%s:%d:%d: %w", p.file, at.Line, at.Column, at.Err)
	}
	return fmt.Errorf("%s: %w", p.file, err)
}
