"""Rules for objects that textpoke annotates."""

_tool = {
    "_textpoke": attr.label(default = "@textpoke//:bin/textpoke.js", allow_single_file = True),
    "_files": attr.label(default = "@textpoke//:files"),
}

def _run(ctx, outputs, inputs, arguments, mnemonic):
    ctx.actions.run(
        executable = ctx.file._textpoke,
        tools = ctx.files._files,
        outputs = outputs,
        inputs = inputs,
        arguments = arguments,
        mnemonic = mnemonic,
        use_default_shell_env = True,
    )

def _annotated_objects_impl(ctx):
    outputs = []
    for input in ctx.attr.library[CcInfo].linking_context.linker_inputs.to_list():
        if input.owner != ctx.attr.library.label:
            continue
        for library in input.libraries:
            for object in library.pic_objects or library.objects:
                output = ctx.actions.declare_file("%s/%s" % (ctx.label.name, object.basename))
                _run(ctx, [output], [object], ["annotate", object.path, "-o", output.path], "TextpokeAnnotate")
                outputs.append(output)
    return [DefaultInfo(files = depset(outputs))]

annotated_objects = rule(
    implementation = _annotated_objects_impl,
    attrs = dict(_tool, library = attr.label(providers = [CcInfo])),
    doc = "The objects of a cc_library, annotated: for the srcs of a cc_binary.",
)

def _textpoke_script_impl(ctx):
    output = ctx.outputs.out
    ctx.actions.run_shell(
        command = "%s ldscript > %s" % (ctx.file._textpoke.path, output.path),
        tools = ctx.files._files,
        outputs = [output],
        use_default_shell_env = True,
    )

textpoke_script = rule(
    implementation = _textpoke_script_impl,
    attrs = dict(_tool, out = attr.output()),
    doc = "The linker script fragment.",
)
