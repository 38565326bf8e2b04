// Asks Flux's own code what it makes of a Receiver's filters.
//
// Standard input: {"res": object, "requests": [body], "filters": [{"filter"}]}. Standard output: the same, a line
// for each filter, with "refused" where Flux never gets the Receiver ready, else with "results": for each request
// whether it fires, null for an error (Flux then answers 500). As in notification-controller v1.9.3,
// internal/server/receiver_resource_filter.go.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/fluxcd/pkg/runtime/cel"
	"github.com/google/cel-go/common/types"
)

type filter struct {
	Filter  string  `json:"filter"`
	Refused string  `json:"refused,omitempty"`
	Results []*bool `json:"results,omitempty"`
}

type table struct {
	Object   map[string]any   `json:"res"`
	Requests []map[string]any `json:"requests"`
	Filters  []*filter        `json:"filters"`
}

func (each *filter) ask(all table) {
	compiled, err := cel.NewExpression(each.Filter,
		cel.WithCompile(),
		cel.WithOutputType(types.BoolType),
		cel.WithStructVariables("res", "req"))
	if err != nil {
		lines := strings.Split(err.Error(), "\n")
		each.Refused = lines[0]
		return
	}
	for _, request := range all.Requests {
		value, err := compiled.EvaluateBoolean(context.Background(), map[string]any{"res": all.Object, "req": request})
		if err != nil {
			each.Results = append(each.Results, nil)
		} else {
			each.Results = append(each.Results, &value)
		}
	}
}

func line(value any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	return strings.TrimSpace(out.String())
}

func main() {
	var all table
	if err := json.NewDecoder(os.Stdin).Decode(&all); err != nil {
		panic(err)
	}
	var lines []string
	for _, each := range all.Filters {
		each.ask(all)
		lines = append(lines, line(each))
	}
	fmt.Printf("{\"res\": %s,\n\"requests\": %s,\n\"filters\": [\n%s\n]}\n",
		line(all.Object), line(all.Requests), strings.Join(lines, ",\n"))
}
