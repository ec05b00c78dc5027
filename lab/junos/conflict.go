package junos

// conflicts lists the statements that two sides changed since base, each in a
// way of its own: what mine and theirs disagree about.
func conflicts(base, theirs, mine *node, path string) (out []string) {
	seen := map[*node]bool{}
	for _, side := range [][]*node{mine.children, base.children} {
		for _, c := range side {
			b, t, m := base.same(c), theirs.same(c), mine.same(c)
			if b != nil && seen[b] || unchanged(m, b) || unchanged(t, b) || unchanged(t, m) {
				continue
			}
			if b != nil {
				seen[b] = true
			}
			here := path + " " + c.statement()
			if c.def.kind == leaf || c.def.kind == leafList || t == nil || m == nil {
				out = append(out, here[1:])
				continue
			}
			if b == nil {
				b = newTree(c.def)
			}
			out = append(out, conflicts(b, t, m, here)...)
		}
	}
	return out
}

// unchanged compares two statements that may both be missing.
func unchanged(a, b *node) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.equal(b)
}
