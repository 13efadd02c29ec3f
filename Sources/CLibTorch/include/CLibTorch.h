// LibTorch behind a C interface.
//
// Every function that can fail returns a status, 0 for success; the message of the last failure on
// the calling thread is in ct_last_error(). No C++ exception leaves this library.
//
// There is one door to torch's operators, ct_call: it runs any operator of torch's dispatcher by its
// schema, so autograd, autocast and every device work as they do in Python.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensor CTTensor;        // one reference to a tensor
typedef struct CTGenerator CTGenerator;  // a random number generator
typedef struct CTOperator CTOperator;    // an operator of the dispatcher; lives for ever
typedef struct CTGroup CTGroup;          // processes that work together
typedef struct CTReducer CTReducer;      // averages gradients over them

const char *ct_last_error(void);

// MARK: Operators

typedef enum {
  CT_NONE,
  CT_TENSOR,       // object
  CT_TENSOR_LIST,  // object: CTTensor *const *, count
  CT_INT,          // integer
  CT_INT_LIST,     // object: const int64_t *, count
  CT_DOUBLE,       // real
  CT_DOUBLE_LIST,  // object: const double *, count
  CT_BOOL,         // integer
  CT_STRING,       // object: const char *
  CT_DEVICE,       // integer: device type, count: index
  CT_GENERATOR,    // object
} CTKind;

typedef struct {
  CTKind kind;
  int64_t integer;
  double real;
  const void *object;
  int64_t count;
} CTValue;

// Finds an operator such as "aten::add", overload "Tensor".
int ct_operator(const char *name, const char *overload, const CTOperator **result);

// Runs an operator. Arguments left out take the schema's defaults. Tensors that it returns, those
// inside lists too, are written to results one after another; their number to result_count.
int ct_call(const CTOperator *op, const CTValue *arguments, int64_t argument_count,
            CTTensor **results, int64_t capacity, int64_t *result_count);

// MARK: Tensors

// Copies bytes into a new tensor on the CPU.
int ct_tensor_copy_in(const void *bytes, int64_t byte_count, const int64_t *shape, int64_t dimensions,
                      int32_t dtype, CTTensor **result);
// A tensor over the caller's memory, which release(context) gives back when torch is done with it.
int ct_tensor_borrow(void *bytes, const int64_t *shape, int64_t dimensions, int32_t dtype,
                     void (*release)(void *), void *context, CTTensor **result);
// Copies the elements out in row-major order; byte_count must be exact.
int ct_tensor_copy_out(const CTTensor *tensor, void *bytes, int64_t byte_count);
// The address of the first element.
const void *ct_tensor_data(const CTTensor *tensor);
void ct_tensor_free(CTTensor *tensor);

int64_t ct_tensor_dimensions(const CTTensor *tensor);
int64_t ct_tensor_size(const CTTensor *tensor, int64_t dimension);
int32_t ct_tensor_dtype(const CTTensor *tensor);
void ct_tensor_device(const CTTensor *tensor, int32_t *type, int32_t *index);
bool ct_tensor_is_contiguous(const CTTensor *tensor, int32_t memory_format);
int ct_tensor_item(const CTTensor *tensor, double *result);
int64_t ct_live_tensors(void);

// MARK: Autograd

bool ct_tensor_requires_grad(const CTTensor *tensor);
int ct_tensor_set_requires_grad(CTTensor *tensor, bool requires_grad);
// The gradient, or NULL in result when there is none.
int ct_tensor_grad(const CTTensor *tensor, CTTensor **result);
// Sets the gradient, of the same shape, type and device; NULL clears it.
int ct_tensor_set_grad(CTTensor *tensor, const CTTensor *grad);
int ct_tensor_backward(const CTTensor *tensor);
bool ct_grad_enabled(void);
void ct_set_grad_enabled(bool enabled);
bool ct_autocast_enabled(int32_t device_type);
int32_t ct_autocast_dtype(int32_t device_type);
int ct_set_autocast(int32_t device_type, bool enabled, int32_t dtype);

// MARK: Generators, threads, devices

int ct_generator_new(int32_t device_type, int32_t index, uint64_t seed, CTGenerator **result);
void ct_generator_free(CTGenerator *generator);
int ct_generator_state(const CTGenerator *generator, CTTensor **result);
int ct_generator_set_state(CTGenerator *generator, const CTTensor *state);
int ct_set_threads(int32_t count);
int32_t ct_threads(void);
// Whether CUDA's convolutions and matrix products of float32 may round their factors to TF32.
int ct_set_tf32(bool allowed);
bool ct_tf32(void);
int32_t ct_cuda_devices(void);
// Whether this processor multiplies bfloat16 itself; others do it by way of float32, much slower than float32 alone.
bool ct_cpu_computes_bfloat16(void);
// Tells malloc to keep freed memory in the process and to serve large blocks from it.
void ct_keep_freed_memory(void);
int ct_synchronize(int32_t device_type, int32_t index);
// torch's version, such as "2.13.0".
const char *ct_version(void);

// MARK: Processes that work together

// Where they meet: a file that all of them can write, or a port of a host.
typedef struct {
  const char *file;  // NULL for a port
  const char *host;
  uint16_t port;
  bool listens;      // whether this process opens the port; false where whoever started it does
  const char *name;  // keeps groups that meet at one place apart
} CTMeeting;

// Waits until all `count` processes are there, then connects them: CPU tensors by Gloo, CUDA tensors by NCCL where
// this LibTorch has it. A later operation fails when it waits longer than `timeout` milliseconds.
int ct_group_new(const CTMeeting *meeting, int32_t rank, int32_t count, int64_t meeting_timeout, int64_t timeout,
                 CTGroup **result);
void ct_group_free(CTGroup *group);
// Every process must call these in the same order with tensors of the same shapes and types.
// Sums each tensor over the processes, in place.
int ct_group_all_reduce(const CTGroup *group, CTTensor *const *tensors, int64_t count);
// A new tensor with the sum over the processes; backward sums the gradient over them too.
int ct_group_sum(const CTGroup *group, const CTTensor *tensor, CTTensor **result);
// Overwrites the tensor with that of one process.
int ct_group_broadcast(const CTGroup *group, CTTensor *tensor, int32_t root);
int ct_group_send(const CTGroup *group, const CTTensor *tensor, int32_t destination);
int ct_group_receive(const CTGroup *group, CTTensor *tensor, int32_t source);
// Adds to a counter that all processes see; needs no other process to answer.
int ct_group_count(const CTGroup *group, const char *counter, int64_t amount, int64_t *result);

// From now on backward leaves the mean over the processes in the parameters' gradients, if ct_reducer_prepare comes
// before it.
int ct_reducer_new(const CTGroup *group, CTTensor *const *parameters, int64_t count, CTReducer **result);
int ct_reducer_prepare(CTReducer *reducer);
void ct_reducer_free(CTReducer *reducer);

#ifdef __cplusplus
}
#endif
