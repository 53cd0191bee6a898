// Output that cannot be written: a message, exit code 7, and not a byte left.
#include <sys/mount.h>
#include <sys/stat.h>

#include "program_test_base.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class BadOutputTest : public ProgramTest {
 protected:
  Arguments Encode(const fs::path& out) const {
    return {"encode",    "--model", tiny().model(), "--codec", "fp16", "--text", tiny().text(),
            "--threads", "1",       "--quiet",      "--out",   out};
  }
  Arguments EncodeHidden(const fs::path& out) const {
    return {"encode", "--hidden", tiny().hidden(), "--codec", "fp16", "--out", out};
  }
  Arguments Decode(const fs::path& out) const {
    return {"decode", "--codec", tiny().codec(), "--in", tiny().stream(), "--out", out, "--quiet"};
  }
  Arguments Train(const fs::path& out) const {
    Arguments arguments = tiny().FrozenTraining();
    arguments.insert(arguments.end(), {"--out", out});
    return arguments;
  }
};

TEST_F(BadOutputTest, RejectsFoldersThatCannotBeWritten) {
  ExpectRefused(Encode("/proc/out.slc"), "Io", "/proc/out.slc");
  ExpectRefused(EncodeHidden("/proc/out.slc"), "Io", "/proc/out.slc");
  ExpectRefused(EncodeHidden(Path("none") / "out.slc"), "Io", "out.slc");
  ExpectRefused(Decode("/proc/out.safetensors"), "Io", "/proc/out.safetensors");
  ExpectRefused(Train("/proc/codec"), "Io", "/proc/codec");
  ExpectRefused({"eval", "--model", tiny().model(), "--codec", "fp16", "--text", tiny().text(), "--threads", "1",
                 "--quiet", "--no-baselines", "--html", "/proc/eval.html"},
                "Io", "/proc/eval.html");
}

TEST_F(BadOutputTest, RejectsFolderAsOutput) {
  fs::create_directories(Path("folder.slc"));
  fs::create_directories(Path("folder.safetensors"));
  ExpectRefused(Encode(Path("folder.slc")), "Io", "folder.slc");
  ExpectRefused(EncodeHidden(Path("folder.slc")), "Io", "folder.slc");
  ExpectRefused(Decode(Path("folder.safetensors")), "Io", "folder.safetensors");
}

TEST_F(BadOutputTest, RejectsFileWhereAFolderIsNeeded) {
  ExpectRefused(Train(Write("codec", "not a folder")), "Io", "codec");
  ExpectRefused(
      {"pretrain", "--text", tiny().train_text(), "--out", Path("codec"), "--steps", "1", "--allow-slow-blas"}, "Io",
      "codec");
}

// The file that was there before stays as it was.
TEST_F(BadOutputTest, RejectsFilesBeyondTheLimit) {
  constexpr uint64_t kLimit = 8192;
  Write("out.slc", "the one before");
  Write("out.safetensors", "the one before");
  ExpectRefused(Encode(Path("out.slc")), "Io", "out.slc", {.largest_file = kLimit});
  ExpectRefused(EncodeHidden(Path("out.slc")), "Io", "out.slc", {.largest_file = kLimit});
  ExpectRefused(Decode(Path("out.safetensors")), "Io", "out.safetensors", {.largest_file = kLimit});
  const Outcome training = Sluice(Train(Path("codec")), {.largest_file = kLimit});
  EXPECT_TRUE(Refused(training, "Io", "checkpoint.safetensors"));
  for (const auto& entry : fs::recursive_directory_iterator(Path("codec"))) {
    EXPECT_EQ(entry.path().string().find("safetensors"), std::string::npos) << entry.path();
  }
}

// A file system of 64 KiB, where this user may make one.
class SmallDisk {
 public:
  explicit SmallDisk(fs::path folder) : folder_(std::move(folder)) {
    fs::create_directory(folder_);
    mounted_ = mount("sluice-test", folder_.c_str(), "tmpfs", 0, "size=64k") == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount(folder_.c_str());
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }

 private:
  fs::path folder_;
  bool mounted_ = false;
};

TEST_F(BadOutputTest, RejectsFullDisk) {
  const SmallDisk disk(Path("disk"));
  if (!disk.mounted()) GTEST_SKIP() << "no right to mount a small file system; a limit on file sizes was tried instead";
  const Arguments big = {"encode", "--hidden", tiny().hidden(), "--codec", "fp32", "--out", Path("disk") / "out.slc"};
  ASSERT_GT(fs::file_size(tiny().hidden()), 65536U);
  ExpectRefused(big, "Io", "out.slc");
  ExpectRefused(Decode(Path("disk") / "out.safetensors"), "Io", "out.safetensors");
  EXPECT_TRUE(Refused(Sluice(Train(Path("disk") / "codec")), "Io", "checkpoint.safetensors"));
}

}  // namespace
}  // namespace sluice
