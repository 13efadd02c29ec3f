#include "Internal.hpp"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/cpu/Utils.h>
#include <torch/version.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <atomic>
#include <cstring>

struct CTGenerator {
  at::Generator value;
};
struct CTOperator {
  c10::OperatorHandle handle;
};

namespace {

std::atomic<int64_t> live_tensors{0};

const at::Tensor &tensor(const void *object) { return static_cast<const CTTensor *>(object)->value; }

at::Device device(int64_t type, int64_t index) {
  TORCH_CHECK(index >= -1 && index < 128, "no device has the index ", index);
  return at::Device(static_cast<at::DeviceType>(type), static_cast<at::DeviceIndex>(index));
}

c10::IValue value(const CTValue &v, const c10::Argument &argument) {
  switch (v.kind) {
    case CT_NONE: return {};
    case CT_TENSOR: return tensor(v.object);
    case CT_TENSOR_LIST: {
      c10::List<at::Tensor> list;
      list.reserve(v.count);
      auto *items = static_cast<CTTensor *const *>(v.object);
      for (int64_t i = 0; i < v.count; i++) list.push_back(items[i]->value);
      return list;
    }
    case CT_INT: {
      // A schema's float does not take an integer by itself; its Scalar does.
      auto type = argument.type();
      if (auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
      if (type->kind() == c10::TypeKind::FloatType) return static_cast<double>(v.integer);
      return v.integer;
    }
    case CT_INT_LIST: {
      auto *items = static_cast<const int64_t *>(v.object);
      return c10::IValue(std::vector<int64_t>(items, items + v.count));
    }
    case CT_DOUBLE: return v.real;
    case CT_DOUBLE_LIST: {
      auto *items = static_cast<const double *>(v.object);
      return c10::IValue(std::vector<double>(items, items + v.count));
    }
    case CT_BOOL: return v.integer != 0;
    case CT_STRING: return std::string(static_cast<const char *>(v.object));
    case CT_DEVICE: return device(v.integer, v.count);
    case CT_GENERATOR: return static_cast<const CTGenerator *>(v.object)->value;
  }
  TORCH_CHECK(false, "unknown kind of argument ", static_cast<int>(v.kind));
}

}  // namespace

std::string &last_error() {
  thread_local std::string message;
  return message;
}

CTTensor *wrap(at::Tensor value) {
  auto *result = new CTTensor{std::move(value)};
  live_tensors.fetch_add(1, std::memory_order_relaxed);
  return result;
}

const char *ct_last_error(void) { return last_error().c_str(); }

int ct_operator(const char *name, const char *overload, const CTOperator **result) {
  return guarded([&] {
    *result = new CTOperator{c10::Dispatcher::singleton().findSchemaOrThrow(name, overload)};
  });
}

int ct_call(const CTOperator *op, const CTValue *arguments, int64_t argument_count,
            CTTensor **results, int64_t capacity, int64_t *result_count) {
  return guarded([&] {
    const auto &schema = op->handle.schema();
    const auto &parameters = schema.arguments();
    TORCH_CHECK(argument_count <= static_cast<int64_t>(parameters.size()), schema.name(), ": too many arguments");
    torch::jit::Stack stack;
    stack.reserve(parameters.size());
    for (size_t i = 0; i < parameters.size(); i++) {
      if (static_cast<int64_t>(i) < argument_count) {
        stack.push_back(value(arguments[i], parameters[i]));
        // Checked here, because a boxed call's own check is an internal assertion.
        TORCH_CHECK(stack.back().type()->isSubtypeOf(*parameters[i].type()) ||
                        parameters[i].type()->kind() != c10::TypeKind::TensorType || stack.back().isTensor(),
                    schema.name(), ": argument '", parameters[i].name(), "' must be a ", parameters[i].type()->str());
      } else {
        TORCH_CHECK(parameters[i].default_value(), schema.name(), ": argument '", parameters[i].name(), "' is missing");
        stack.push_back(*parameters[i].default_value());
      }
    }
    op->handle.callBoxed(stack);
    std::vector<at::Tensor> tensors;
    for (const auto &output : stack) {
      if (output.isTensor()) tensors.push_back(output.toTensor());
      else if (output.isTensorList()) for (const at::Tensor &item : output.toTensorVector()) tensors.push_back(item);
    }
    TORCH_CHECK(static_cast<int64_t>(tensors.size()) <= capacity, schema.name(), ": more results than expected");
    for (size_t i = 0; i < tensors.size(); i++) results[i] = wrap(std::move(tensors[i]));
    *result_count = static_cast<int64_t>(tensors.size());
  });
}

int ct_tensor_copy_in(const void *bytes, int64_t byte_count, const int64_t *shape, int64_t dimensions,
                      int32_t dtype, CTTensor **result) {
  return guarded([&] {
    auto t = at::empty(at::IntArrayRef(shape, dimensions), at::TensorOptions(static_cast<at::ScalarType>(dtype)));
    TORCH_CHECK(static_cast<int64_t>(t.nbytes()) == byte_count, "a tensor of shape ", t.sizes(), " takes ", t.nbytes(),
                " bytes, not ", byte_count);
    if (byte_count > 0) std::memcpy(t.data_ptr(), bytes, byte_count);
    *result = wrap(std::move(t));
  });
}

int ct_tensor_borrow(void *bytes, const int64_t *shape, int64_t dimensions, int32_t dtype,
                     void (*release)(void *), void *context, CTTensor **result) {
  return guarded([&] {
    *result = wrap(at::from_blob(
        bytes, at::IntArrayRef(shape, dimensions), [release, context](void *) { release(context); },
        at::TensorOptions(static_cast<at::ScalarType>(dtype))));
  });
}

int ct_tensor_copy_out(const CTTensor *t, void *bytes, int64_t byte_count) {
  return guarded([&] {
    auto source = t->value.detach().cpu().contiguous();
    TORCH_CHECK(static_cast<int64_t>(source.nbytes()) == byte_count, "a tensor of ", source.nbytes(),
                " bytes does not fill ", byte_count);
    if (byte_count > 0) std::memcpy(bytes, source.data_ptr(), byte_count);
  });
}

const void *ct_tensor_data(const CTTensor *t) { return t->value.const_data_ptr(); }

void ct_tensor_free(CTTensor *t) {
  if (!t) return;
  delete t;
  live_tensors.fetch_sub(1, std::memory_order_relaxed);
}

int64_t ct_tensor_dimensions(const CTTensor *t) { return t->value.dim(); }
int64_t ct_tensor_size(const CTTensor *t, int64_t dimension) { return t->value.sizes()[dimension]; }
int32_t ct_tensor_dtype(const CTTensor *t) { return static_cast<int32_t>(t->value.scalar_type()); }

void ct_tensor_device(const CTTensor *t, int32_t *type, int32_t *index) {
  *type = static_cast<int32_t>(t->value.device().type());
  *index = t->value.device().index();
}

bool ct_tensor_is_contiguous(const CTTensor *t, int32_t memory_format) {
  bool result = false;
  guarded([&] { result = t->value.is_contiguous(static_cast<at::MemoryFormat>(memory_format)); });
  return result;
}

int ct_tensor_item(const CTTensor *t, double *result) {
  return guarded([&] { *result = t->value.item().toDouble(); });
}

int64_t ct_live_tensors(void) { return live_tensors.load(std::memory_order_relaxed); }

bool ct_tensor_requires_grad(const CTTensor *t) { return t->value.requires_grad(); }

int ct_tensor_set_requires_grad(CTTensor *t, bool requires_grad) {
  return guarded([&] { t->value.set_requires_grad(requires_grad); });
}

int ct_tensor_grad(const CTTensor *t, CTTensor **result) {
  return guarded([&] {
    const auto &grad = t->value.grad();
    *result = grad.defined() ? wrap(grad) : nullptr;
  });
}

int ct_tensor_set_grad(CTTensor *t, const CTTensor *grad) {
  return guarded([&] {
    const auto &value = t->value;
    if (!grad) {
      value.mutable_grad() = at::Tensor();
      return;
    }
    // torch checks this in Python only, and its fused optimizers trust it.
    TORCH_CHECK(grad->value.sizes() == value.sizes() && grad->value.scalar_type() == value.scalar_type() &&
                    grad->value.device() == value.device(),
                "a gradient of shape ", grad->value.sizes(), " and type ", grad->value.scalar_type(),
                " does not fit a tensor of shape ", value.sizes(), " and type ", value.scalar_type());
    auto fitting = grad->value;
    if (fitting.strides() != value.strides()) {
      // Fused optimizers walk both in the order of memory.
      at::NoGradGuard no_grad;
      fitting = at::empty_like(value).copy_(fitting);
    }
    value.mutable_grad() = fitting;
  });
}

int ct_tensor_backward(const CTTensor *t) {
  return guarded([&] { t->value.backward(); });
}

bool ct_grad_enabled(void) { return at::GradMode::is_enabled(); }
void ct_set_grad_enabled(bool enabled) { at::GradMode::set_enabled(enabled); }

bool ct_autocast_enabled(int32_t device_type) {
  return at::autocast::is_autocast_enabled(static_cast<at::DeviceType>(device_type));
}

int32_t ct_autocast_dtype(int32_t device_type) {
  return static_cast<int32_t>(at::autocast::get_autocast_dtype(static_cast<at::DeviceType>(device_type)));
}

int ct_set_autocast(int32_t device_type, bool enabled, int32_t dtype) {
  return guarded([&] {
    auto type = static_cast<at::DeviceType>(device_type);
    // Cast weights are kept without a note of their type.
    at::autocast::clear_cache();
    at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(dtype));
    at::autocast::set_autocast_enabled(type, enabled);
  });
}

int ct_generator_new(int32_t device_type, int32_t index, uint64_t seed, CTGenerator **result) {
  return guarded([&] {
    auto where = device(device_type, index);
    auto generator = at::globalContext().defaultGenerator(where).clone();
    generator.set_current_seed(seed);
    *result = new CTGenerator{std::move(generator)};
  });
}

void ct_generator_free(CTGenerator *generator) { delete generator; }

int ct_generator_state(const CTGenerator *generator, CTTensor **result) {
  return guarded([&] { *result = wrap(generator->value.get_state()); });
}

int ct_generator_set_state(CTGenerator *generator, const CTTensor *state) {
  return guarded([&] { generator->value.set_state(state->value); });
}

int ct_set_threads(int32_t count) {
  return guarded([&] { at::set_num_threads(count); });
}

int32_t ct_threads(void) { return at::get_num_threads(); }

bool ct_cpu_computes_bfloat16(void) {
  static const bool result = [] {
    try {
      const auto capabilities = at::cpu::get_cpu_capabilities();
      for (const char *name : {"avx512_bf16", "amx_bf16", "bf16"}) {
        const auto found = capabilities.find(name);
        if (found != capabilities.end() && found->second.isBool() && found->second.toBool()) return true;
      }
    } catch (...) {
    }
    return false;
  }();
  return result;
}

int ct_set_tf32(bool allowed) {
  return guarded([&] {
    at::globalContext().setAllowTF32CuBLAS(allowed);
    at::globalContext().setAllowTF32CuDNN(allowed);
  });
}

bool ct_tf32(void) {
  bool result = false;
  guarded([&] { result = at::globalContext().allowTF32CuBLAS() && at::globalContext().allowTF32CuDNN(); });
  return result;
}

int32_t ct_cuda_devices(void) {
  int32_t count = 0;
  guarded([&] { count = at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0; });
  return count;
}

void ct_keep_freed_memory(void) {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 256 << 20);
#endif
}

int ct_synchronize(int32_t device_type, int32_t index) {
  return guarded([&] {
    auto where = device(device_type, index);
    if (where.is_cuda()) at::detail::getCUDAHooks().deviceSynchronize(where.index());
  });
}

const char *ct_version(void) { return TORCH_VERSION; }
