// Opens pages in headless Chromium, when there is one, and reads back what its scripts did.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "page/page.h"
#include "page/page_escape.h"
#include "page/page_sample.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class PageBrowserTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
      if (std::system(("command -v " + std::string(name) + " >/dev/null 2>&1").c_str()) == 0) browser_ = name;
    }
    if (browser_.empty()) GTEST_SKIP() << "no Chromium on PATH (apt-get install chromium)";
    folder_ = fs::temp_directory_path() / ("sluice-page-" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  // The document after its scripts ran; `log` receives what the browser wrote to its console.
  std::string Open(const std::string& html, std::string& log) {
    const fs::path page = folder_ / "page.html";
    const fs::path errors = folder_ / "console.log";
    EXPECT_TRUE(WriteFileAtomic(page, html).ok());
    const std::string command =
        "timeout 120 " + browser_ +
        " --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run"
        " --disable-background-networking --disable-component-update --disable-sync --window-size=1200,900"
        " --enable-logging=stderr --virtual-time-budget=4000 --user-data-dir=" +
        (folder_ / "profile").string() + " --dump-dom 'file://" + page.string() + "' 2>" + errors.string();
    std::string dom;
    FILE* pipe = popen(command.c_str(), "r");
    char buffer[65536];
    for (size_t got = 0; pipe != nullptr && (got = fread(buffer, 1, sizeof(buffer), pipe)) > 0;)
      dom.append(buffer, got);
    EXPECT_EQ(pipe == nullptr ? -1 : pclose(pipe), 0);
    Result<std::string> text = ReadFile(errors);
    log = text.ok() ? *text : "";
    return dom;
  }

  std::string browser_;
  fs::path folder_;
};

TEST_F(PageBrowserTest, MatchesThePlotsOfTheContent) {
  std::string log;
  const std::string dom = Open(*RenderPage(SamplePage()), log);
  EXPECT_NE(dom.find("data-plots=\"3\""), std::string::npos);
  EXPECT_NE(dom.find("data-errors=\"0\""), std::string::npos);
  EXPECT_EQ(Occurrences(dom, "<canvas"), 3u);
  EXPECT_EQ(Occurrences(dom, ">Show as a table<"), 4u) << "every block but the table itself";
  EXPECT_EQ(log.find("CONSOLE"), std::string::npos) << log;
}

TEST_F(PageBrowserTest, RejectsForeignScripts) {
  const std::string attack =
      "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";
  std::string log;
  const std::string dom = Open(*RenderPage(HostilePage(attack)), log);
  EXPECT_NE(dom.find("data-plots=\"2\""), std::string::npos);
  EXPECT_NE(dom.find("data-errors=\"0\""), std::string::npos);
  EXPECT_EQ(dom.find("<title>owned"), std::string::npos);
  EXPECT_EQ(dom.find("<img"), std::string::npos);
  EXPECT_EQ(log.find("CONSOLE"), std::string::npos) << log;
}

// The test above would also pass if the browser said nothing at all: a script that escaping let through must be named.
TEST_F(PageBrowserTest, RejectsAScriptThatThePolicyDoesNotName) {
  std::string html = *RenderPage(SamplePage());
  html.replace(html.find("</body>"), 0, "<script>document.title='owned'</script>");
  std::string log;
  const std::string dom = Open(html, log);
  EXPECT_EQ(dom.find("<title>owned"), std::string::npos);
  EXPECT_NE(log.find("Content Security Policy"), std::string::npos) << log;
}

}  // namespace
}  // namespace sluice
