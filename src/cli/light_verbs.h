#ifndef SLUICE_CLI_LIGHT_VERBS_H_
#define SLUICE_CLI_LIGHT_VERBS_H_

namespace sluice {

/// What a light verb answers when its arguments ask for a transformer: run the verb of the torch island instead.
inline constexpr int kNeedsTorch = -1;

/// The verbs that start without torch. `argv[0]` is the verb; each returns the exit code or kNeedsTorch.
int RunEncode(int argc, char** argv);
int RunDecode(int argc, char** argv);
int RunPackHidden(int argc, char** argv);
int RunUnpackHidden(int argc, char** argv);
int RunInspect(int argc, char** argv);
int RunFitStatic(int argc, char** argv);
int RunDoctor(int argc, char** argv);
int RunStudyVerb(int argc, char** argv);
int RunReport(int argc, char** argv);
int RunKeys(int argc, char** argv);
int RunTop(int argc, char** argv);

}  // namespace sluice

#endif  // SLUICE_CLI_LIGHT_VERBS_H_
