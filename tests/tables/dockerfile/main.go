// Asks BuildKit which stages of a Dockerfile a target is made of.
//
// Standard input: {"arguments": build arguments, "files": [{"text"}]}. Standard output: the same, a line for each
// file, with its "stages" ([name, first line] of each) and "needed" (target -> numbers of its stages), or "error"
// where BuildKit refuses it.
// Every stage gets an instruction with its number in it; what BuildKit would run for a target has those of the
// stages that it needs.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

type dockerfile struct {
	Text   string           `json:"text"`
	Stages [][2]any         `json:"stages,omitempty"`
	Needed map[string][]int `json:"needed,omitempty"`
	Error  string           `json:"error,omitempty"`
}

type table struct {
	Arguments map[string]string `json:"arguments"`
	Files     []*dockerfile     `json:"files"`
}

var targets = []string{"release", "solr"}

var marker = regexp.MustCompile(`haybale-stage-(\d+)`)

// anyImage resolves every image to an empty one: nothing is fetched.
type anyImage struct{}

func (anyImage) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, digest.FromString(ref), []byte(`{"architecture":"amd64","os":"linux","config":{}}`), nil
}

func (file *dockerfile) ask(arguments map[string]string) error {
	parsed, err := parser.Parse(strings.NewReader(file.Text))
	if err != nil {
		return err
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return err
	}
	// Not strings.Lines: a heredoc's or a comment's carriage returns stay as they are.
	lines := strings.SplitAfter(file.Text, "\n")
	for number := len(stages) - 1; number >= 0; number-- {
		last := stages[number].Location[len(stages[number].Location)-1].End.Line
		if !strings.HasSuffix(lines[last-1], "\n") {
			lines[last-1] += "\n"
		}
		lines = slices.Insert(lines, last, fmt.Sprintf("RUN haybale-stage-%d\n", number))
	}
	for _, each := range stages {
		file.Stages = append(file.Stages, [2]any{each.Name, each.Location[0].Start.Line})
	}
	file.Needed = map[string][]int{}
	for _, target := range targets {
		if !slices.ContainsFunc(stages, func(each instructions.Stage) bool { return each.Name == target }) {
			continue
		}
		result, err := dockerfile2llb.Dockerfile2LLB(context.Background(), []byte(strings.Join(lines, "")), dockerfile2llb.ConvertOpt{
			Config:         dockerui.Config{Target: target, BuildArgs: maps.Clone(arguments)},
			MetaResolver:   anyImage{},
			TargetPlatform: &ocispecs.Platform{OS: "linux", Architecture: "amd64"},
		})
		if err != nil {
			return err
		}
		definition, err := result.State.Marshal(context.Background(), llb.LinuxAmd64)
		if err != nil {
			return err
		}
		found := map[int]bool{}
		for _, each := range definition.Def {
			var op pb.Op
			if err := op.UnmarshalVT(each); err != nil {
				return err
			}
			if run := op.GetExec(); run != nil {
				if match := marker.FindStringSubmatch(strings.Join(run.Meta.Args, " ")); match != nil {
					number, _ := strconv.Atoi(match[1])
					found[number] = true
				}
			}
		}
		file.Needed[target] = slices.Sorted(maps.Keys(found))
	}
	return nil
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
	for _, file := range all.Files {
		if err := file.ask(all.Arguments); err != nil {
			file.Stages, file.Needed = nil, nil
			file.Error = err.Error()
		}
		lines = append(lines, line(file))
	}
	fmt.Printf("{\"arguments\": %s,\n\"files\": [\n%s\n]}\n", line(all.Arguments), strings.Join(lines, ",\n"))
}
