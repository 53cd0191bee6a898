// Output that cannot be written: a message, exit code 7, and not a byte left.
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fstream>

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

// A wrong --out must not cost the model, the states or the text that it names.
TEST_F(BadOutputTest, Regresses_OutputNeverReplacesAnInput) {
  const std::string overwrites = "would overwrite what";
  const auto refused = [&](const Arguments& arguments) {
    SCOPED_TRACE(arguments.front());
    ExpectRefused(arguments, "InvalidArgument", overwrites);
  };
  refused(Encode(tiny().text()));
  refused(EncodeHidden(tiny().hidden()));
  refused(Decode(tiny().stream()));
  refused(Train(tiny().model()));
  refused({"pretrain", "--text", tiny().train_text(), "--out", tiny().train_text()});
  refused({"fit-static", "--hidden", tiny().hidden(), "--step", "0.1", "--out", tiny().hidden()});
  refused({"eval", "--model", tiny().model(), "--codec", "fp16", "--text", tiny().text(), "--html", tiny().text()});
  refused({"certify", "--model", tiny().model(), "--codec", "a.pack", "--text", tiny().text(), "--out", "./a.pack"});
  refused({"export", "--codec", tiny().codec(), "--out", tiny().codec()});
  refused({"pack-hidden", tiny().hidden(), "--out", tiny().hidden()});
  refused({"decode", "--in", tiny().stream(), "--out", Path("a"), "--ids-out", Path("a")});
  fs::create_symlink(tiny().hidden(), Path("link.slc"));
  refused(EncodeHidden(Path("link.slc")));
}

TEST_F(BadOutputTest, Regresses_FinishedResultsAreNotTrainedOver) {
  ExpectRefused(Train(Copy(tiny().codec(), "codec")), "InvalidArgument", "codec.json is already there");
  ExpectRefused({"pretrain", "--text", tiny().train_text(), "--out", Copy(tiny().model(), "model"), "--steps", "1",
                 "--allow-slow-blas"},
                "InvalidArgument", "config.json is already there");
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

TEST_F(BadOutputTest, Regresses_FullDiskLeavesNoEmptyArchive) {
  const SmallDisk disk(Path("disk"));
  if (!disk.mounted()) GTEST_SKIP() << "no right to mount a small file system";
  std::ofstream(Path("disk") / "filler") << std::string(1 << 17, 'x');
  ExpectRefused({"pack-hidden", tiny().hidden(), "--out", Path("disk") / "a.sla", "--quiet"}, "Io", "a.sla");
}

// A device of its own, of the kind of /dev/full: what cannot be written to is not removed.
TEST_F(BadOutputTest, Regresses_FullDeviceStaysADevice) {
  constexpr unsigned kMemory = 1, kFull = 7;
  const fs::path device = Path("full");
  if (mknod(device.c_str(), S_IFCHR | 0600, makedev(kMemory, kFull)) != 0) GTEST_SKIP() << "no right to make a device";
  EXPECT_TRUE(Refused(Sluice({"pack-hidden", tiny().hidden(), "--out", device, "--quiet"}), "Io", "full"));
  EXPECT_TRUE(fs::is_character_file(fs::symlink_status(device)));
}

}  // namespace
}  // namespace sluice
