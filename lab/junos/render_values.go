package junos

import "strconv"

// keepalive is a third of the hold time, as Junos keeps it.
func keepalive(hold string) string {
	seconds, err := strconv.Atoi(hold)
	if err != nil {
		return "30"
	}
	return strconv.Itoa(seconds / 3)
}

// bfdTimers are multiplier, receive and transmit interval in milliseconds. FRR
// takes 50 to 60000.
func bfdTimers(bfd *node) []string {
	either := func(names ...string) string {
		for _, name := range names {
			if v, err := strconv.Atoi(bfd.leaf(name)); err == nil {
				return strconv.Itoa(min(max(v, 50), 60000))
			}
		}
		return "1000"
	}
	multiplier := "3"
	if m, err := strconv.Atoi(bfd.leaf("multiplier")); err == nil {
		multiplier = strconv.Itoa(max(m, 2))
	}
	transmit := either("minimum-interval")
	if v := bfd.leaf("transmit-interval", "minimum-interval"); v != "" {
		transmit = v
	}
	return []string{multiplier, either("minimum-receive-interval", "minimum-interval"), transmit}
}

// prefixLimit is what follows FRR's maximum-prefix. Without teardown Junos only
// warns; idle-timeout is in minutes in both.
func prefixLimit(limit *node) []string {
	words := []string{limit.leaf("maximum")}
	teardown := limit.at("teardown")
	if teardown == nil {
		return append(words, "warning-only")
	}
	if percent := teardown.leaf("limit-threshold"); percent != "" {
		words = append(words, percent)
	}
	if minutes := teardown.leaf("idle-timeout", "timeout"); minutes != "" {
		words = append(words, "restart", minutes)
	}
	return words
}
