package daemon

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"lastmile/cmd/namedfile"
)

// Load reads the YAML file at path, or what comes through a pipe, into the
// struct that into points to.
//
// It is strict: a key that no field is tagged for, a value of the wrong kind
// and a value out of range are errors. All of them are reported at once, a
// line each, as
//
//	file:line:column: key: what is wrong and what is allowed
//
// Fields are found by their yaml tags. A field may be a string, bool, integer,
// [time.Duration], anything that unmarshals from text, or a slice or struct of
// these. Keys that the file leaves out keep the value they had.
//
// If into has a method Validate(report func(key, problem string)), it is
// called too; what it reports is given the position of the key, which is
// written as in uplinks[1].name.
func Load(path string, into any) error {
	text, err := namedfile.ReadPiped(path)
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	return decode(path, text, into)
}

func decode(path string, text []byte, into any) error {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return syntaxError(path, err)
	}
	d := &decoder{path: path, nodes: map[string]ast.Node{}, failed: map[string]bool{}}
	switch len(file.Docs) {
	case 0:
	case 1:
		if body := file.Docs[0].Body; body != nil {
			d.value(body, reflect.ValueOf(into).Elem(), "")
		}
	default:
		d.report(file.Docs[1].Body, "", "a second YAML document; only one is allowed")
	}
	if v, ok := into.(interface {
		Validate(report func(key, problem string))
	}); ok {
		v.Validate(func(key, problem string) {
			if !d.failed[key] { // what could not be read has no value to judge
				d.report(d.nearest(key), key, problem)
			}
		})
	}
	return errors.Join(d.problems...)
}

type decoder struct {
	path     string
	nodes    map[string]ast.Node // by key path, for positions of what Validate reports
	failed   map[string]bool     // keys whose value could not be read
	problems []error
}

func (d *decoder) report(at ast.Node, key, problem string) {
	where := d.path
	if at != nil {
		p := at.GetToken().Position
		where = fmt.Sprintf("%s:%d:%d", d.path, p.Line, p.Column)
	}
	d.failed[key] = true
	if key != "" {
		key += ": "
	}
	d.problems = append(d.problems, fmt.Errorf("%s: %s%s", where, key, problem))
}

// nearest returns the node of key or of the closest key around it; nil, the
// file as a whole, if there is none.
func (d *decoder) nearest(key string) ast.Node {
	for key != "" {
		if n, ok := d.nodes[key]; ok {
			return n
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return nil
}

// value decodes n, which stands at key, into v.
func (d *decoder) value(n ast.Node, v reflect.Value, key string) {
	d.nodes[key] = n
	if n.Type() == ast.NullType {
		return // as if left out
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok || v.Type() == reflect.TypeFor[time.Duration]() {
		d.scalar(n, v, key)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, v, key)
	case reflect.Slice:
		d.sequence(n, v, key)
	default:
		d.scalar(n, v, key)
	}
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, key string) {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.report(n, key, fmt.Sprintf("%s is not a mapping; allowed keys: %s", quote(n), strings.Join(keys(v.Type()), ", ")))
		return
	}
	for it := m.MapRange(); it.Next(); {
		name := it.Key().GetToken().Value
		path := strings.TrimPrefix(key+"."+name, ".")
		field, ok := fieldByTag(v, name)
		if !ok {
			d.report(it.Key(), path, "unknown key; allowed: "+strings.Join(keys(v.Type()), ", "))
			continue
		}
		d.value(it.Value(), field, path)
	}
}

func (d *decoder) sequence(n ast.Node, v reflect.Value, key string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.report(n, key, noList(n, v.Type().Elem()))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	for i, e := range s.Values {
		d.value(e, v.Index(i), fmt.Sprintf("%s[%d]", key, i))
	}
}

// noList says how n, which stands where a list of such elements is wanted,
// becomes one.
func noList(n ast.Node, element reflect.Type) string {
	_, mapping := n.(ast.MapNode)
	_, scalar := n.(ast.ScalarNode)
	_, text := reflect.New(element).Interface().(encoding.TextUnmarshaler)
	words := element.Kind() != reflect.Struct || text
	switch {
	case mapping && !words:
		return `a list is wanted: put "- " before its first key`
	case scalar && words:
		return fmt.Sprintf("%s is not a list; write [%s]", quote(n), n.GetToken().Value)
	case words:
		return "a list of single values is wanted, such as [a, b]"
	default:
		return fmt.Sprintf("a list of mappings is wanted; allowed keys: %s", strings.Join(keys(element), ", "))
	}
}

func (d *decoder) scalar(n ast.Node, v reflect.Value, key string) {
	if _, ok := n.(ast.ScalarNode); !ok {
		d.report(n, key, "a single value is wanted, not a list or mapping")
		return
	}
	if err := setScalar(v, text(n)); err != nil {
		d.report(n, key, fmt.Sprintf("%s is not allowed: %v", quote(n), err))
	}
}

// setScalar sets v from text; the error says what is allowed.
func setScalar(v reflect.Value, s string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(s))
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		t, err := time.ParseDuration(s)
		if err != nil {
			return errors.New("a duration with its unit is wanted, such as 300ms, 2s or 1m30s")
		}
		v.SetInt(int64(t))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("true or false is wanted")
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("a whole number of at most %d bits is wanted", v.Type().Bits())
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, err := strconv.ParseUint(s, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("a whole number from 0 to %d is wanted", uint64(1)<<v.Type().Bits()-1)
		}
		v.SetUint(u)
	default:
		panic(fmt.Sprintf("daemon: configuration field of type %v", v.Type()))
	}
	return nil
}

// text is a scalar as written, without quotes.
func text(n ast.Node) string {
	if l, ok := n.(*ast.LiteralNode); ok {
		return l.Value.Value
	}
	return n.GetToken().Value
}

func quote(n ast.Node) string { return strconv.Quote(text(n)) }

func fieldByTag(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// keys lists the keys that a struct of type t takes, sorted.
func keys(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// syntaxError puts a parser's error into the form of all others.
func syntaxError(path string, err error) error {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		p := e.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", path, p.Line, p.Column, e.GetMessage())
	}
	return fmt.Errorf("%s: %w", path, err)
}
