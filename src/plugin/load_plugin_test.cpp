#include "plugin/load_plugin.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "base/status.h"
#include "plugin/fixtures_for_test.h"

namespace musaic {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class LoadPluginTest : public testing::Test {
 protected:
  // What loading says; empty: it went well.
  std::string error(const std::string& path) {
    try {
      load_plugin(path, registry_, {{"cpu", cpu_host_threads()}});
      return "";
    } catch (const LoadError& error) {
      return error.what();
    }
  }

  OpRegistry registry_ = builtin_registry();
};

TEST_F(LoadPluginTest, TheExampleBringsItsOpsAndKernels) {
  const LoadedPlugin loaded = load_fixture("example", registry_);
  EXPECT_EQ(loaded.name, "example");
  EXPECT_EQ(loaded.path, fixture("example"));
  EXPECT_THAT(loaded.ops, ElementsAre("example::clamp_", "example::scaled_add"));
  EXPECT_THAT(loaded.kernels, ElementsAre("example_clamp_cpu (cpu) of example::clamp_",
                                          "example_scaled_add_cpu (cpu) of example::scaled_add"));
  EXPECT_EQ(to_string(registry_.get("example::clamp_").schema),
            "example::clamp_(Tensor(a!) x, *, float? low=None, float? high=None) -> ()");
  EXPECT_THAT(registry_.missing_fakes(), IsEmpty());
}

TEST_F(LoadPluginTest, ASecondTimeItsNamesAreTaken) {
  load_fixture("example", registry_);
  EXPECT_THAT(error(fixture("example")), HasSubstr("(example): example::scaled_add: is already registered"));
}

TEST_F(LoadPluginTest, AFileThatIsNoPluginIsNamed) {
  const std::string text = testing::TempDir() + "text.so";
  std::ofstream(text) << "no library";
  EXPECT_EQ(error("/nowhere/p.so"), "plugin /nowhere/p.so: there is no such file");
  EXPECT_THAT(error(text), HasSubstr("plugin " + text + ": the library does not load: "));
  EXPECT_EQ(error(fixture("no_plugin")),
            "plugin " + fixture("no_plugin") + ": exports no musaic_plugin(), so it is no plugin");
  EXPECT_THAT(error(testing::TempDir()), HasSubstr("the library does not load"));
}

TEST_F(LoadPluginTest, AnotherAbiVersionIsRefusedBeforeAnythingElseIsRead) {
  EXPECT_EQ(error(fixture("ABI_MAJOR")),
            "plugin " + fixture("ABI_MAJOR") +
                ": built for plugin ABI 2.0, expected 1.0: build it with this version's musaic/plugin.h");
  EXPECT_THAT(error(fixture("ABI_MINOR")), HasSubstr("built for plugin ABI 1.1, expected 1.0"));
}

struct Fault {
  const char* fixture;
  const char* message;
};

class FaultTest : public LoadPluginTest, public testing::WithParamInterface<Fault> {};

TEST_P(FaultTest, IsOneSentenceAndLeavesTheRegistryAsItWas) {
  const size_t ops = registry_.ops().size();
  const size_t kernels = registry_.get("aten::add").kernels.size();
  const std::string message = error(fixture(GetParam().fixture));
  EXPECT_THAT(message, HasSubstr(GetParam().message));
  EXPECT_THAT(message, HasSubstr("plugin " + fixture(GetParam().fixture)));
  EXPECT_EQ(registry_.ops().size(), ops) << "what it had defined before is gone too";
  EXPECT_EQ(registry_.get("aten::add").kernels.size(), kernels);
}

INSTANTIATE_TEST_SUITE_P(
    Each, FaultTest,
    testing::Values(Fault{"BAD_SCHEMA",
                          "(faulty): schema 'faulty::op(Tensor x, flot eps) -> Tensor': expected a type"},
                    Fault{"BAD_SCHEMA", "at column 22, got 'flot'"},
                    Fault{"NAME_TAKEN", "(faulty): aten::add: is already registered"},
                    Fault{"UNKNOWN_OP", "(faulty): kernel faulty_kernel: there is no op faulty::missing"},
                    Fault{"SILENT", "(faulty): its init function failed without saying why"},
                    Fault{"IGNORED_ERROR", "(faulty): schema 'faulty op': expected an operator name"},
                    Fault{"NO_INIT", "has no name or no init"},
                    Fault{"NULL_PLUGIN", "its musaic_plugin() gives NULL"},
                    Fault{"NO_RUN", "kernel faulty_kernel: without a run function"},
                    Fault{"VIEW_KERNEL", "kernel faulty_kernel: faulty::view is a view, which has none"},
                    Fault{"TWICE", "kernel faulty_kernel: faulty::first has one of that name already"},
                    Fault{"UNKNOWN_FLAG", "faulty::flag(Tensor x) -> (): unknown flags 0x40"},
                    Fault{"SECOND_FAKE", "faulty::first: has a fake kernel already"}),
    [](const auto& info) { return std::to_string(info.index) + "_" + info.param.fixture; });

TEST_F(LoadPluginTest, AnOpMayLackItsFakeButNothingIsTracedWithIt) {
  EXPECT_EQ(error(fixture("NO_FAKE")), "");
  EXPECT_THAT(registry_.missing_fakes(), ElementsAre("faulty::no_fake"));
  EXPECT_THROW(require_fakes(registry_), LoadError);
}

TEST_F(LoadPluginTest, AFakeIsAttachedLaterOnlyWhereTheOpIs) {
  EXPECT_EQ(error(fixture("LATE_FAKE")), "");
  EXPECT_THAT(registry_.missing_fakes(), IsEmpty());
  EXPECT_EQ(registry_.find("faulty::absent"), nullptr);
}

}  // namespace
}  // namespace musaic
