// SPDX-License-Identifier: MIT

package daemon

import (
	"errors"
	"io/fs"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/settings"
)

// Somebody who edits the file of a team wants the text back that was saved, comments and all. The client sends it with
// a digest of the text that was read: the process alone writes the file, so it alone can tell whether another change
// came in between. While the change is made, the file follows as after every change; when it is made (or confirmed),
// the edited text takes its place.

// parseWanted reads the configuration that a team is to have. An edited one is of the file as it is now.
func (s *session) parseWanted(name string, text control.Config) (settings.Config, error) {
	if text.Was == "" {
		return config.Parse("the configuration", text.YAML)
	}
	path := s.dirs.EditedFile(name)
	now, err := config.ReadText(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return settings.Config{}, &api.Problem{Kind: api.Failed, What: "read " + path, Why: err.Error(),
			Fix: "check its permissions", Err: err}
	}
	if config.Digest(now) != text.Was {
		return settings.Config{}, &api.Problem{Kind: api.Conflict, What: "edit " + name,
			Why: path + " changed while it was edited", Fix: "nicteam edit " + name + " shows it as it is now"}
	}
	return config.ParseFor(name, path, text.YAML)
}

// keepEdited writes the text of a configuration that is in force, if somebody edited it.
func (s *session) keepEdited(steps []string, text control.Config) ([]string, error) {
	if text.Was == "" {
		return steps, nil
	}
	if err := s.writeEdited(text.YAML); err != nil {
		return steps, err
	}
	return append(steps, "wrote "+s.dirs.EditedFile(s.team.Config().Team)), nil
}

// writeEdited writes an edited text into the file of the team. The caller holds changeMu.
func (s *session) writeEdited(text string) error {
	c := s.runningConfig()
	path := s.dirs.EditedFile(c.Team)
	if err := config.WriteEdited(path, text, c); err != nil {
		return &api.Problem{Kind: api.Failed, What: "save " + path, Err: err,
			Why: err.Error() + "; the change holds, and the file has the comments of before",
			Fix: "check free space and permissions there, then edit it again"}
	}
	return nil
}
