package junos

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"lastmile/switchagent/netconf"
)

var (
	loadedKey  = regexp.MustCompile(`<authentication-key>([^<]+)</authentication-key>`)
	encodedKey = regexp.MustCompile(`\$[0-9]\$\S+`)
)

// remember notes the keys that the switch is told: it may repeat a statement in an error of this
// operation or of a later one.
func (c *Client) remember(body string) {
	for _, found := range loadedKey.FindAllStringSubmatch(body, -1) {
		if !slices.Contains(c.keys, found[1]) {
			c.keys = append(c.keys, found[1])
		}
	}
}

// scrub takes the keys out of what the switch says: its words are logged.
func (c *Client) scrub(reply netconf.Reply, err error) error {
	c.scrubAll(reply.Warnings)
	var refused *netconf.ReplyError
	if !errors.As(err, &refused) {
		return err
	}
	c.scrubAll(refused.Errors)
	c.scrubAll(refused.Warnings)
	return said{c.scrubbed(err.Error()), err}
}

// said is an error in other words.
type said struct {
	text string
	err  error
}

func (s said) Error() string { return s.text }
func (s said) Unwrap() error { return s.err }

func (c *Client) scrubAll(words []netconf.Error) {
	for i := range words {
		e := &words[i]
		e.Message, e.Path, e.BadElement = c.scrubbed(e.Message), c.scrubbed(e.Path), c.scrubbed(e.BadElement)
	}
}

// scrubbed is the text without keys, where they are not part of a longer word, and without anything
// in one of Junos' encodings of keys.
func (c *Client) scrubbed(text string) string {
	for _, key := range c.keys {
		if !strings.Contains(text, key) {
			continue
		}
		word := regexp.MustCompile(`(^|[^A-Za-z0-9])` + regexp.QuoteMeta(key) + `($|[^A-Za-z0-9])`)
		for range 2 { // two in a row share what is between them
			text = word.ReplaceAllString(text, "${1}***${2}")
		}
	}
	return encodedKey.ReplaceAllString(text, "***")
}
