package junos

import "strings"

// compare says what changes from before to after as `show | compare` does: for
// every place with changes a banner, then lines with - and +. It is empty when
// nothing changes.
func compare(before, after *node) string {
	var b strings.Builder
	writeCompare(&b, before, after, "")
	return b.String()
}

func writeCompare(b *strings.Builder, before, after *node, path string) {
	var lines strings.Builder
	for _, old := range before.children {
		if now := after.same(old); now == nil || !old.sameValue(now) {
			old.writeText(&lines, "-", "  ")
		}
	}
	for _, now := range after.children {
		if old := before.same(now); old == nil || !old.sameValue(now) {
			now.writeText(&lines, "+", "  ")
		}
	}
	if lines.Len() > 0 {
		b.WriteString("[edit" + path + "]\n" + lines.String())
	}
	for _, now := range after.children {
		if old := before.same(now); old != nil && old.sameValue(now) {
			writeCompare(b, old, now, path+" "+now.statement())
		}
	}
}

// sameValue compares two nodes without what is under them.
func (n *node) sameValue(m *node) bool {
	if n.value != m.value || n.inactive != m.inactive || len(n.values) != len(m.values) {
		return false
	}
	for i := range n.values {
		if n.values[i] != m.values[i] {
			return false
		}
	}
	return true
}
