#include "study/study_plan.h"

#include <functional>
#include <nlohmann/json.hpp>

#include "study/study_library.h"
#include "study/study_test_util.h"

namespace sluice {
namespace {

class StudyPlanTest : public StudyTest {
 protected:
  StudyOptions Both() const {
    StudyOptions options;
    options.model = Path("model");
    options.train_text = options.select_text = {Path("train.txt")};
    options.report_text = {Path("report.txt")};
    options.modes = {"frozen", "joint"};
    return options;
  }
};

TEST_F(StudyPlanTest, MatchesPlaceholders) {
  StudyPlan plan = EmptyPlan();
  plan.files["train-text"].push_back(Path("report.txt"));
  StudyRun run = LearnedRun("a");
  run.train.insert(run.train.end(),
                   {"--set", "widths=[4,2]", "--lr", "{choice:lr}", "--near={run}/x", "{best:lr}/codec"});
  plan.runs = {run, LearnedRun("b")};
  plan.choices = {{.name = "lr", .candidates = {{"0.5", "b"}}}};
  ASSERT_TRUE(plan.Check().ok()) << plan.Check().ToString();
  RunContext context{.study_folder = "s", .values = {}, .winners = {}};
  EXPECT_EQ(ExpandArguments(plan, run, run.train, context).status().code(), StatusCode::kInvalidArgument);
  context.values["lr"] = "0.5";
  context.winners["lr"] = "b";
  const auto expanded = ExpandArguments(plan, run, run.train, context);
  ASSERT_TRUE(expanded.ok());
  const std::vector<std::string> expected = {"train",
                                             "--model",
                                             Path("model"),
                                             "--text",
                                             Path("train.txt"),
                                             Path("report.txt"),
                                             "--out",
                                             "s/runs/a/codec",
                                             "--set",
                                             "widths=[4,2]",
                                             "--lr",
                                             "0.5",
                                             "--near=s/runs/a/x",
                                             "s/runs/b/codec"};
  EXPECT_EQ(*expanded, expected);
  EXPECT_EQ(plan.Needs(run), std::vector<std::string>{"b"});
  EXPECT_EQ(CommandText({"train", "a b", "it's"}), R"(sluice train 'a b' 'it'\''s')");
}

TEST_F(StudyPlanTest, RejectsCirclesAndUnknownNames) {
  StudyPlan plan = EmptyPlan();
  StudyRun a = LearnedRun("a"), b = LearnedRun("b");
  a.eval.push_back("{run:b}");
  b.eval.push_back("{run:a}");
  plan.runs = {a, b};
  EXPECT_NE(plan.Check().message().find("waits for itself"), std::string::npos);
  plan.runs = {a};
  EXPECT_NE(plan.Check().message().find("'b' is not in the plan"), std::string::npos);
  plan.runs = {LearnedRun("a"), LearnedRun("a")};
  EXPECT_NE(plan.Check().message().find("two runs"), std::string::npos);
  for (const char* name : {"", "../a", "a/b", ".a", "-a"}) {
    plan.runs = {LearnedRun(name)};
    EXPECT_EQ(plan.Check().code(), StatusCode::kInvalidArgument) << name;
  }
}

TEST_F(StudyPlanTest, RoundTripsAsJson) {
  for (const StudyInfo& info : ListStudies()) {
    SCOPED_TRACE(info.name);
    StudyOptions options = Both();
    if (info.name != "rate-distortion") options.modes.clear();
    if (info.name != "step" && info.name != "time") options.seeds = 2;
    const auto plan = MakeStudyPlan(std::string(info.name), options);
    ASSERT_TRUE(plan.ok()) << plan.status().ToString();
    EXPECT_GT(plan->runs.size(), 4U);
    const auto json = plan->ToJson();
    const auto again = StudyPlan::FromJson(json);
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(again->ToJson(), json);
  }
}

TEST_F(StudyPlanTest, RejectsDamagedPlans) {
  StudyPlan plan = EmptyPlan();
  plan.runs = {LearnedRun("a")};
  nlohmann::ordered_json json = plan.ToJson();
  json["runs"][0]["labels"]["role"] = "hero";
  EXPECT_EQ(StudyPlan::FromJson(json).status().code(), StatusCode::kCorrupt);
  json = plan.ToJson();
  json["runs"][0]["name"] = "../../escape";
  EXPECT_EQ(StudyPlan::FromJson(json).status().code(), StatusCode::kCorrupt);
  json = plan.ToJson();
  json["runs"] = 3;
  EXPECT_EQ(StudyPlan::FromJson(json).status().code(), StatusCode::kCorrupt);
}

// A choice must not see the text that is reported.
TEST_F(StudyPlanTest, RejectsReportTextInTuning) {
  StudyOptions options = Both();
  const auto plan = MakeStudyPlan("rate-distortion", options);
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  size_t tuning = 0;
  for (const StudyRun& run : plan->runs) {
    const bool reports = std::find(run.eval.begin(), run.eval.end(), "{report-text}") != run.eval.end();
    EXPECT_EQ(reports, run.labels.role != RunRole::kTuning) << run.name;
    tuning += run.labels.role == RunRole::kTuning ? 1 : 0;
  }
  EXPECT_EQ(tuning, 2U * 4 * 3);
  // One rate is no choice: the frozen candidate is a point as well, a joint one would be nothing else.
  options.rates = {0.006};
  const auto untuned = MakeStudyPlan("rate-distortion", options);
  ASSERT_TRUE(untuned.ok()) << untuned.status().ToString();
  ASSERT_EQ(untuned->choices.size(), 4U);
  for (const StudyChoice& choice : untuned->choices) EXPECT_EQ(choice.setting.find("joint"), std::string::npos);
  EXPECT_EQ(untuned->runs.size(), plan->runs.size() - 2U * 4 * 3 + 4);
  // The model is trained alone beside one joint run, however many rates there are to choose from.
  const auto references = [](const StudyPlan& of) {
    return std::count_if(of.runs.begin(), of.runs.end(), [](const StudyRun& run) {
      return run.labels.mode == "joint" && run.labels.role == RunRole::kPoint && !run.train.empty() &&
             std::find(run.train.begin(), run.train.end(), "--no-reference") == run.train.end();
    });
  };
  EXPECT_EQ(references(*untuned), 1);
  EXPECT_EQ(references(*plan), 1);
  // A joint point that was a candidate is not trained again; it is compared with the reference all the same.
  const StudyRun* chosen = plan->FindRun("fourier-joint-k2-l0.002-s1");
  ASSERT_NE(chosen, nullptr);
  EXPECT_TRUE(chosen->train.empty());
  const auto has = [&](const std::string& argument) {
    return std::find(chosen->eval.begin(), chosen->eval.end(), argument) != chosen->eval.end();
  };
  EXPECT_TRUE(has("{best:lr-fourier-joint}/codec/model") && has("{best:lr-fourier-joint}/codec/codec"));
  EXPECT_TRUE(has("{run:paper-joint-k2-l0.0002-s1}/codec/reference"));
  options.select_text.clear();
  EXPECT_EQ(MakeStudyPlan("rate-distortion", options).status().code(), StatusCode::kInvalidArgument);
  options.modes = {"joint"};
  EXPECT_TRUE(MakeStudyPlan("rate-distortion", options).ok()) << "nothing is chosen";
  EXPECT_EQ(MakeStudyPlan("rate", options).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(StudyPlanTest, RejectsOptionsThatAStudyDoesNotUse) {
  const auto refused = [this](const char* study, const std::function<void(StudyOptions&)>& set) {
    StudyOptions options = Both();
    options.modes.clear();
    EXPECT_TRUE(MakeStudyPlan(study, options).ok()) << study;
    set(options);
    const Status status = MakeStudyPlan(study, options).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << study;
    return status.message();
  };
  EXPECT_NE(refused("layers", [](auto& o) { o.cut = 1; }).find("--cuts"), std::string::npos);
  EXPECT_NE(refused("rate-distortion", [](auto& o) { o.cuts = {1, 2}; }).find("--cuts"), std::string::npos);
  EXPECT_NE(refused("time", [](auto& o) { o.seeds = 3; }).find("--seeds"), std::string::npos);
  EXPECT_NE(refused("lambada", [](auto& o) { o.modes = {"joint"}; }).find("joint"), std::string::npos);
  EXPECT_NE(refused("ablation",
                    [](auto& o) {
                      o.presets = {"paper", "fourier"};
                    })
                .find("--presets"),
            std::string::npos);
  EXPECT_NE(refused("layers", [](auto& o) { o.rates = {0.1, 0.2}; }).find("--rates"), std::string::npos);
  EXPECT_NE(refused("step", [](auto& o) { o.lambdas = {0.1}; }).find("nothing is learned"), std::string::npos);
}

}  // namespace
}  // namespace sluice
