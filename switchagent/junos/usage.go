package junos

import (
	"context"
	"strconv"
	"strings"

	"lastmile/switchagent/netconf"
)

// Usage is how full a configuration database is, in bytes. What the switch does not tell is zero.
type Usage struct{ Used, Maximum int64 }

// DatabaseUsage reads get-database-usage ("show system configuration database usage"), of the
// instance if the release can tell, else of the static database. Deleted stanzas take room in an
// ephemeral database until a number of later commits. Releases that do not know the operation tell
// nothing, which is no error.
func (c *Client) DatabaseUsage(ctx context.Context, instance string) (Usage, error) {
	bodies := []string{"<get-database-usage/>"}
	if instance != "" {
		bodies = []string{"<get-database-usage><ephemeral-instance>" + escape(instance) + "</ephemeral-instance></get-database-usage>", bodies[0]}
	}
	for _, body := range bodies {
		var u Usage
		size := func(into *int64) netconf.Element {
			return func(decode func(any) error) error {
				var t text
				err := decode(&t)
				*into = max(*into, bytesOf(string(t))) // of two engines the fuller
				return err
			}
		}
		_, err := c.call(ctx, netconf.Call{Body: body, Elements: elements{
			"actual-usage": size(&u.Used), "maximum-size": size(&u.Maximum),
		}})
		if optional(err) != nil {
			return Usage{}, err
		}
		if err == nil && u != (Usage{}) {
			return u, nil
		}
	}
	return Usage{}, nil
}

// bytesOf reads sizes such as "665.99 MB".
func bytesOf(size string) int64 {
	fields := strings.Fields(size)
	if len(fields) == 0 {
		return 0
	}
	number, err := strconv.ParseFloat(fields[0], 64)
	if err != nil || number < 0 || number > 1e12 {
		return 0
	}
	unit := int64(1)
	if len(fields) > 1 {
		unit = map[string]int64{"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}[strings.ToUpper(fields[1])]
	}
	return int64(number * float64(unit))
}
