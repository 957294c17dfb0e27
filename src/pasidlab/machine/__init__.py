"""The hardware: CPUs with IA32_PASID and xstate, the IOMMU's PASID table, the accelerator."""
