"""Generated messages of the CRI calls that the lab makes, from `lab_cri.proto` beside this file.

Do not edit them: `python -m grpc_tools.protoc -I tools --python_out=tools --pyi_out=tools tools/lab/pb/lab_cri.proto`.
"""
