package junos

import "strings"

// mergeText applies curly text, the format of `show configuration`, to n.
func (n *node) mergeText(text string) (missing []string, errs []*loadError) {
	patch := newTree(n.def)
	words, err := textTokens(text)
	if err != nil {
		return nil, []*loadError{err}
	}
	if err := patch.putText(&words, 0); err != nil {
		return nil, []*loadError{err}
	}
	if len(words) > 0 {
		return nil, []*loadError{syntaxError(words[0])}
	}
	return n.merge(patch), nil
}

// textTokens is tokens without comments of the form /* … */.
func textTokens(text string) ([]string, *loadError) {
	for {
		before, rest, found := strings.Cut(text, "/*")
		if !found {
			break
		}
		_, after, closed := strings.Cut(rest, "*/")
		if !closed {
			return nil, syntaxError("/*")
		}
		text = before + " " + after
	}
	var words []string
	for line := range strings.Lines(text) {
		w, err := tokens(line)
		if err != nil {
			return nil, err
		}
		words = append(words, w...)
	}
	return words, nil
}

// putText adds the statements at the front of words to the patch n, up to the
// brace that closes n.
func (n *node) putText(words *[]string, depth int) *loadError {
	if depth > maxDepth {
		return syntaxError("{")
	}
	for len(*words) > 0 && (*words)[0] != "}" {
		op, inactive := textTag(words)
		end := 0
		for end < len(*words) && (*words)[end] != "{" && (*words)[end] != ";" && (*words)[end] != "}" {
			end++
		}
		if end == 0 || end == len(*words) || (*words)[end] == "}" {
			return syntaxError((*words)[min(end, len(*words)-1)])
		}
		m, err := n.put((*words)[:end], op)
		if err != nil {
			return err
		}
		m.inactive = inactive
		open := (*words)[end] == "{"
		*words = (*words)[end+1:]
		if !open {
			continue
		}
		if err := m.putText(words, depth+1); err != nil {
			return err
		}
		if len(*words) == 0 {
			return syntaxError("{")
		}
		*words = (*words)[1:]
	}
	return nil
}

// textTag reads the tag that may stand before a statement.
func textTag(words *[]string) (op operation, inactive bool) {
	tag := (*words)[0]
	op, known := map[string]operation{
		"delete:": opDelete, "replace:": opReplace, "active:": opActivate, "inactive:": opMerge,
	}[tag]
	if !known || len(*words) == 1 {
		return opMerge, false
	}
	*words = (*words)[1:]
	return op, tag == "inactive:"
}
