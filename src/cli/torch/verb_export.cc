#include <fmt/format.h>

#include "base/file.h"
#include "cli/torch/torch_verbs.h"
#include "cli/verb.h"
#include "format/pack.h"
#include "neural/context_export.h"

namespace sluice {

int RunExport(int argc, char** argv) {
  Verb verb("export",
            "Make a pack of a trained codec of preset sluice or fast: one file with which encode, decode and the "
            "library work without libtorch.",
            "  sluice export --codec runs/a --out a.pack\n"
            "  sluice encode --codec a.pack --hidden states.npy --out states.slc\n");
  std::filesystem::path codec, out;
  verb.app().add_option("--codec", codec, "Folder of the trained codec")->type_name("DIR")->required();
  verb.app().add_option("--out", out, "Pack to write")->type_name("FILE")->required();
  return verb.Run(argc, argv, [&]() -> Status {
    std::error_code error;
    if (!std::filesystem::is_directory(codec, error)) return IoError(codec.string() + ": no such folder");
    if (!IsContextFolder(codec)) {
      return InvalidArgument(codec.string() + ": no codec of preset sluice or fast; the others need libtorch");
    }
    SLUICE_ASSIGN_OR_RETURN(const StoredContext stored, LoadContext(codec));
    SLUICE_ASSIGN_OR_RETURN(const auto bytes, PackContext(stored));
    SLUICE_RETURN_IF_ERROR(WriteFileAtomic(out, bytes));
    SLUICE_ASSIGN_OR_RETURN(const Pack pack, Pack::FromBytes(bytes));
    const nlohmann::ordered_json result = {{"out", out.string()},
                                           {"id", fmt::format("{:016x}", pack.id())},
                                           {"hash", ToHex(pack.hash())},
                                           {"bytes", pack.bytes()},
                                           {"operating_points", pack.operating_points().size()}};
    verb.Print(result, fmt::format("{}: {} bytes, id {:016x}\n", out.string(), pack.bytes(), pack.id()));
    return OkStatus();
  });
}

}  // namespace sluice
